import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pydantic import BaseModel

from autoprune.config_agents import LLMSettings
from autoprune.errors import ChatError
from autoprune.llm.local import LocalServer
from autoprune.llm.own_weights import find_model
from autoprune.llm.provider import choose_llm, open_chats

pytest.importorskip("xllamacpp")


@pytest.fixture
def broken_model(tmp_path: Path) -> Path:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(64))
    return file


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def test_broken_model_is_one_clear_line_and_leaves_no_process(broken_model: Path) -> None:
    before = children()
    with pytest.raises(ChatError, match=r"cannot load .*broken\.gguf") as caught:
        LocalServer(broken_model).__enter__()
    assert "\n" not in str(caught.value)
    assert children() == before


class Answer(BaseModel):
    animal: str


@pytest.mark.long
@pytest.mark.llm
def test_real_local_model_answers_under_a_schema_idles_and_ends_with_us() -> None:
    settings = LLMSettings(provider="local")
    before = children()
    with open_chats(settings, choose_llm(settings), seed=1) as chats:
        chat = chats["proposer"]
        assert chat is not None
        question = [{"role": "user", "content": "Name an animal that barks."}]
        reply = chat.ask("k", "critic", question, Answer, max_tokens=24, temperature=0.0)
        assert "dog" in reply.parsed.animal.lower()
        assert (reply.usd, reply.failed_calls) == (0.0, 0)
        assert reply.tokens_out <= 24
        server = psutil.Process((children() - before).pop())
        cpu = sum(server.cpu_times()[:2])
        time.sleep(1.0)
        assert sum(server.cpu_times()[:2]) - cpu < 0.2
    assert not server.is_running()


@pytest.fixture
def starter(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that starts a local server, says its pid and waits."""
    code = (
        "import sys; from pathlib import Path; from autoprune.llm.local import LocalServer\n"
        f"with LocalServer(Path({str(find_model(None))!r}), context=512) as server:\n"
        "    print(server.pid, flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.llm
def test_server_dies_with_a_killed_parent(starter: "subprocess.Popen[str]") -> None:
    assert starter.stdout is not None
    server = psutil.Process(int(starter.stdout.readline()))
    starter.send_signal(signal.SIGKILL)
    server.wait(timeout=120)
