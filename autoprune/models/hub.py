"""Uploading a saved model to the Hugging Face hub."""

from pathlib import Path

from autoprune.errors import AutoPruneError, UsageError, first_line


def check_upload(name: str) -> str:
    """The full id OWNER/NAME of a repository to which the user may be able to upload, before anything is computed.

    `name`: with or without owner; the user's own account by default. Raises UsageError for an invalid name, a missing
    or refused token, and a hub that cannot be reached.
    """
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise UsageError(f"{name!r} is no name of a repository on the hub: {first_line(error)}") from None
    if get_token() is None:
        raise UsageError(
            f"uploading {name} needs a token of the hub with the right to write: `hf auth login`, or HF_TOKEN"
        )
    try:
        account = HfApi().whoami()
    except OfflineModeIsEnabled:
        raise UsageError(f"{name} cannot be uploaded: the hub is switched off by HF_HUB_OFFLINE") from None
    except HfHubHTTPError as error:
        raise UsageError(f"the hub refuses the token: {first_line(error)}") from None
    except _faults() as error:
        raise UsageError(f"{name} cannot be uploaded: the hub cannot be reached ({first_line(error)})") from None
    return name if "/" in name else f"{account['name']}/{name}"


def upload(folder: Path, repository: str, private: bool) -> str:
    """Upload a folder as one commit, to a repository that is made if it is missing; returns its address.

    `private`: of a new repository. Raises AutoPruneError for an upload that fails; the folder is kept.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Pruned with AutoPrune")
    except _faults() as error:
        raise AutoPruneError(
            f"{folder} could not be uploaded to {repository}: {first_line(error)}; it is complete on disk"
        ) from None
    return str(address)


def _faults() -> tuple[type[BaseException], ...]:
    """Errors of a transfer, and of what the hub does not accept. The HTTP library of the hub's client depends on its
    version; the bases of its error are that library's."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, *HfHubHTTPError.__bases__)
