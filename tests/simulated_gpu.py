"""A simulated CUDA device, on machines without one: tensors that say `cuda:0`, compute on the CPU, and refuse to mix.

Within `simulated_gpu()`, tensors created on or moved to `cuda` are `OnGpu`, which hold a tensor of the CPU. An operator
that gets tensors of both devices raises the error of CUDA, `numpy()` raises, and `torch.cuda` counts memory, so that
code is found that would fail on a GPU. Kernels, their speed and their rounding are those of the CPU: that is what this
cannot show.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

MEMORY = 24 * 2**30
"""Bytes of the simulated device."""
MIXED = "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
_MOVES = ("aten::_to_copy", "aten::copy_")
_INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
"""Operators whose indices may be on the CPU."""
_READ = ("__float__", "__int__", "__bool__", "__index__", "item", "tolist", "cpu", "data_ptr", "untyped_storage")
_NEW = ("new_empty", "new_zeros", "new_ones", "new_full", "new_tensor")
_IN_PYTHON = ("__getitem__", "__setitem__", "unbind", "split", "chunk", *_NEW)
"""What C++ answers before an operator is dispatched, or refuses of such tensors in inference mode."""


class OnGpu(Tensor):
    """A tensor of the simulated device; `held` is the one of the CPU with its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        shape, strides, offset = held.shape, held.stride(), held.storage_offset()
        made = torch.Tensor._make_wrapper_subclass(
            cls, shape, strides=strides, storage_offset=offset, dtype=held.dtype, layout=held.layout, device="cuda:0"
        )
        made.held = held
        return made

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _held(value: Any) -> Any:
    return value.held if isinstance(value, OnGpu) else value


def _of_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of an operator, computed on the CPU, on the device that it would be on."""
    name = func._schema.name
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
    here = [tensor for tensor in tensors if isinstance(tensor, OnGpu)]
    checked = tensors if name not in _INDEXED else [tensors[0], tensors[-1]] if "put" in name else tensors[:1]
    there = [tensor for tensor in checked if not isinstance(tensor, OnGpu) and tensor.dim() > 0]
    if here and there and name not in _MOVES:
        raise RuntimeError(f"{MIXED} ({name})")
    wanted = kwargs.get("device")
    on_gpu = _of_gpu(wanted) if wanted is not None else bool(here)
    if name == "aten::copy_":
        on_gpu = isinstance(args[0], OnGpu)
    if on_gpu and wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result = func(*tree_map(_held, args), **tree_map(_held, kwargs))
    same = {id(tensor.held): tensor for tensor in here}  # in place

    def placed(value: Any) -> Any:
        if not isinstance(value, Tensor) or not on_gpu:
            return value
        return same[id(value)] if id(value) in same else OnGpu(value)

    return tree_map(placed, result)


class _Operators(TorchDispatchMode):
    """Factories of tensors on the simulated device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _of_gpu(kwargs.get("device")) or any(isinstance(value, OnGpu) for value in tree_flatten((args, kwargs))[0]):
            return _computed(func, args, kwargs)
        return func(*args, **kwargs)


class _Functions(TorchFunctionMode):
    """Functions that C++ hands to the driver before any operator is dispatched."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if func in (Tensor.to, Tensor.cuda):
            return _moved(args[0], *(args[1:] or ("cuda",) * (func is Tensor.cuda)), **kwargs)
        if func is Tensor.copy_:
            _held(args[0]).copy_(_held(args[1]))
            return args[0]
        if args and isinstance(args[0], OnGpu):
            if name in _READ:
                return func(args[0].held, *args[1:], **kwargs) if name != "cpu" else args[0].held.clone()
            if name in _IN_PYTHON:
                if name == "__setitem__" and isinstance(args[2], Tensor) and args[2].dim() and type(args[2]) is Tensor:
                    raise RuntimeError(f"{MIXED} ({name})")
                result = func(*tree_map(_held, args), **kwargs)
                return tree_map(lambda value: OnGpu(value) if isinstance(value, Tensor) else value, result)
        elif name in _IN_PYTHON and any(isinstance(value, OnGpu) for value in tree_flatten(args)[0]):
            raise RuntimeError(f"{MIXED} ({name})")
        return func(*args, **kwargs)


def _moved(tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
    """`Tensor.to`, whose device C++ would look up."""
    if args and isinstance(args[0], Tensor):
        device, dtype = args[0].device, args[0].dtype
    else:
        device, dtype, _, _ = torch._C._nn._parse_to(*args, **kwargs)
    to_gpu = isinstance(tensor, OnGpu) if device is None else _of_gpu(device)
    if device is not None and device.type == "meta":
        return torch.empty_like(_held(tensor), device="meta")
    if isinstance(tensor, OnGpu) == to_gpu and not copy and dtype in (None, tensor.dtype):
        return tensor
    held = _held(tensor).to(dtype=dtype or tensor.dtype, copy=copy or isinstance(tensor, OnGpu) != to_gpu)
    return OnGpu(held) if to_gpu else held


@contextmanager
def simulated_gpu() -> Iterator[None]:
    """Within this context, `cuda` is a device of MEMORY bytes, which is free and is never used up."""
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
        with _Functions(), _Operators():
            yield
