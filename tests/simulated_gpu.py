"""A simulated CUDA device, on machines without one: tensors that say `cuda:0`, compute on the CPU, and refuse to mix.

Within `simulated_gpu()`, tensors that are created on or moved to `cuda` are `OnGpu`, each of which holds a tensor of
the CPU. A function that gets tensors of both devices raises the error of CUDA, `numpy()` raises, and `torch.cuda`
answers, so that code is found that would fail on a GPU. Kernels, their speed, memory and rounding are those of the CPU:
these it cannot show.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

MEMORY = 24 * 2**30
"""Bytes of the simulated device."""
MIXED = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
_OF_ITSELF = (Tensor.device.__get__, Tensor.is_cuda.__get__, Tensor.is_cpu.__get__)  # type: ignore[attr-defined]
"""Attributes that the held tensor has otherwise."""


class OnGpu(Tensor):
    """A tensor of the simulated device; `held` is the one of the CPU with its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, layout=held.layout, device="cuda:0"
        )
        made.held = held
        return made

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise NotImplementedError(f"{func} was called from C++, where this is no tensor")


class _Everywhere(TorchFunctionMode):
    """Factories of tensors on the simulated device, and the move to it, which get no tensor of it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of a function, computed on the CPU, on the device that it would be on."""
    name = getattr(func, "__name__", "")
    if func in (Tensor.to, Tensor.cuda):
        return _moved(args[0], *(args[1:] or ("cuda",) * (func is Tensor.cuda)), **kwargs)
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    here = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    device = kwargs.get("device")
    kwargs = {name: value for name, value in kwargs.items() if name != "pin_memory"}
    if func is Tensor.pin_memory:
        return args[0]
    if not here and not _of_gpu(device):
        return func(*args, **kwargs)
    if func in _OF_ITSELF:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args)
    if func is Tensor.data.__set__:  # type: ignore[attr-defined]
        args[0].held = _held(args[1])
        return None
    if func is Tensor.cpu:
        return args[0].held.clone()
    if func in (Tensor.register_hook, Tensor.register_post_accumulate_grad_hook):
        return _hooked(func, *args)
    if func is torch._has_compatible_shallow_copy_type:
        return False
    _check_together(name, args, tensors, here)
    if isinstance(generator := kwargs.get("generator"), torch.Generator) and generator.device.type == "cpu":
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if _of_gpu(device):
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    same = {id(tensor.held): tensor for tensor in tensors if isinstance(tensor, OnGpu)}  # in place
    if name == "copy_":
        return args[0]
    on_gpu = bool(here) if device is None else _of_gpu(device)

    def placed(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return same[id(value)] if id(value) in same else OnGpu(value)

    return tree_map(placed, result) if on_gpu and not isinstance(result, torch.Size) else result


def _hooked(func: Any, tensor: OnGpu, hook: Any) -> Any:
    """A hook that gets a gradient, or the tensor itself once it has one, on the simulated device."""
    if func is Tensor.register_hook:
        return func(tensor.held, lambda gradient: _held(hook(OnGpu(gradient))))
    return func(tensor.held, lambda _: hook(tensor))


def _check_together(name: str, args: Any, tensors: list[Tensor], here: list[Tensor]) -> None:
    """Raises what CUDA raises for tensors of two devices; indices and single numbers may be on the CPU."""
    if name == "copy_" or not here:
        return
    if name == "__getitem__":
        tensors = [args[0]]
    elif name == "__setitem__":
        tensors = [value for value in (args[0], args[2]) if isinstance(value, Tensor)]
        if isinstance(args[1], slice | int):  # a copy into a part of it
            return
    if any(not isinstance(tensor, OnGpu) and tensor.dim() > 0 for tensor in tensors) and any(
        isinstance(tensor, OnGpu) for tensor in tensors
    ):
        raise RuntimeError(f"{MIXED} ({name})")
    if name == "__getitem__" and not isinstance(args[0], OnGpu):
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")


def _moved(tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    """`Tensor.to`, whose device C++ would look up."""
    if args and isinstance(args[0], Tensor):
        device, dtype = args[0].device, args[0].dtype
    else:
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
    if device is not None and device.type == "meta":
        return torch.empty_like(_held(tensor), device="meta")
    from_gpu = isinstance(tensor, OnGpu)
    to_gpu = from_gpu if device is None else _of_gpu(device)
    if from_gpu == to_gpu and not copy and dtype in (None, tensor.dtype):
        return tensor
    held = _held(tensor)
    moved = held.to(dtype=dtype or held.dtype, copy=copy or from_gpu != to_gpu)
    return OnGpu(moved) if to_gpu else moved


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnGpu) else value


def _of_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


@contextmanager
def simulated_gpu() -> Iterator[None]:
    """Within this context, `cuda` is a device of MEMORY bytes, which is free and is never used up."""
    run = threading.Thread.run

    def run_there(thread: threading.Thread) -> None:
        with _Everywhere():
            run(thread)

    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "_lazy_init": lambda: None,
            "is_available": lambda: True,
            "device_count": lambda: 1,
            "current_device": lambda: 0,
            "synchronize": lambda device=None: None,
            "empty_cache": lambda: None,
            "reset_peak_memory_stats": lambda device=None: None,
            "max_memory_allocated": lambda device=None: 2**20,
            "memory_allocated": lambda device=None: 2**19,
            "mem_get_info": lambda device=None: (MEMORY, MEMORY),
            "get_device_name": lambda device=None: "simulated",
        }.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)  # keep the subclass
        patch.setattr(threading.Thread, "run", run_there)  # a mode is of one thread
        with _Everywhere():
            yield
