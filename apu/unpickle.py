"""Reads numpy arrays and plain containers out of a pickle without running it.

Pickle is a small stack language whose REDUCE instruction calls any function it names. Estimators store dictionaries
of arrays this way, so such files must be read, but never by a machine that can import. This one knows the
instructions that numpy's own pickles consist of; the names they may mention (`_NAMES`) stand for four fixed
constructions and are looked up nowhere. Work and memory are bounded by the length of the data: at most
`MAX_INSTRUCTIONS` steps, copies of at most twice its size, and only text or numbers as keys, so that hashing stays
cheap.
"""

import pickletools
from typing import Any

import numpy as np

from apu.errors import FormatError, UnsafeFileError

MAX_INSTRUCTIONS = 20_000
"""An estimator's dictionary of 30 arrays takes about 500."""

_NAMES = {
    f"{module} {name}": name
    for name, modules in {
        "_reconstruct": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "scalar": ("numpy.core.multiarray", "numpy._core.multiarray"),
        "ndarray": ("numpy",),
        "dtype": ("numpy",),
        "encode": ("_codecs",),
        "bytes": ("__builtin__",),
    }.items()
    for module in modules
}
_LITERALS = frozenset(
    "BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES "
    "BINBYTES8".split()
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KINDS = "biufcUSO"


class _Name(str):
    """One of the names a pickle may mention."""


class _Mark:
    """Where the items of a container begin on the stack."""


class _Unfinished:
    """An array or dtype between its REDUCE and its BUILD; `slots` are the memo entries that wait for it."""

    def __init__(self, kind: str, code: str = "") -> None:
        self.kind, self.code, self.slots = kind, code, []


def unpickle(data: bytes, *, max_instructions: int = MAX_INSTRUCTIONS) -> Any:
    """The arrays, dictionaries, lists, tuples, text and numbers that a pickle describes.

    Raises:
        UnsafeFileError: the pickle wants anything else, or takes more than `max_instructions`.
        FormatError: it is damaged.
    """
    try:
        return _Machine(2 * len(data)).run(data, max_instructions)
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise FormatError(f"its pickled part is damaged ({error})") from error


def simple_dtype(code: str) -> np.dtype:
    """The dtype of booleans, numbers, text or objects with this code.

    Raises:
        ValueError: it is another kind, or none.
    """
    try:
        dtype = np.dtype(code)
    except (TypeError, ValueError, SyntaxError) as error:
        raise ValueError(f"unknown dtype {code!r}") from error
    if dtype.kind not in _KINDS or dtype.names is not None or dtype.subdtype is not None:
        raise ValueError(f"dtype must hold booleans, numbers, text or objects, got {code!r}")
    return dtype


class _Machine:
    """The stack, the memo, and one method per group of instructions."""

    def __init__(self, budget: int) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.budget = budget

    def run(self, data: bytes, most: int) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if count >= most:
                raise UnsafeFileError(f"its pickled part takes more than {most} instructions")
            if opcode.name == "STOP":
                return self.stack.pop()
            self.step(opcode.name, argument)
        raise ValueError("no end")

    def step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            self.stack.append(tuple(reversed([self.stack.pop() for _ in range(_TUPLES[name])])))
        elif handler := getattr(self, f"do_{name.lower()}", None):
            handler(argument)
        else:
            raise UnsafeFileError(f"its pickled part uses {name}, which data files do not need")

    def do_proto(self, _: Any) -> None:
        """The protocol's number changes nothing here."""

    def do_frame(self, _: Any) -> None:
        """Frames are hints for streams."""

    def do_mark(self, _: Any) -> None:
        self.stack.append(_Mark)

    def do_empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def do_empty_list(self, _: Any) -> None:
        self.stack.append([])

    def do_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self.items()))

    def do_append(self, _: Any) -> None:
        item = self.stack.pop()
        self.top(list).append(item)

    def do_appends(self, _: Any) -> None:
        items = self.items()
        self.top(list).extend(items)

    def do_setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def do_setitems(self, _: Any) -> None:
        self.set_items(self.items())

    def do_memoize(self, _: Any) -> None:
        self.put(len(self.memo))

    def do_binput(self, slot: int) -> None:
        self.put(slot)

    do_long_binput = do_binput

    def do_binget(self, slot: int) -> None:
        self.stack.append(self.memo[slot])

    do_long_binget = do_binget

    def do_global(self, name: str) -> None:
        if name not in _NAMES:
            raise UnsafeFileError(f"its pickled part wants to call {name.replace(' ', '.', 1)[:80]!r}")
        self.stack.append(_Name(_NAMES[name]))

    def do_stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.do_global(f"{module} {name}")

    def do_reduce(self, _: Any) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if not (isinstance(name, _Name) and isinstance(arguments, tuple)):
            raise UnsafeFileError("its pickled part calls something that is not numpy's")
        if name == "dtype":
            self.stack.append(_Unfinished("dtype", str(arguments[0])))
        elif name == "_reconstruct":
            self.stack.append(_Unfinished("array"))
        elif name == "scalar":
            dtype, raw = arguments
            self.stack.append(np.frombuffer(raw, _number(dtype), 1)[0])
        elif name == "encode":
            self.stack.append(self.encode(*arguments))
        elif name == "bytes" and not arguments:
            self.stack.append(b"")  # as protocol 2 spells it
        else:
            raise UnsafeFileError(f"its pickled part calls {name}")

    def do_build(self, _: Any) -> None:
        state, unfinished = self.stack.pop(), self.stack.pop()
        if not (isinstance(unfinished, _Unfinished) and isinstance(state, tuple)):
            raise UnsafeFileError("its pickled part changes something that is not an array")
        finished = _dtype(unfinished.code, state) if unfinished.kind == "dtype" else self.array(state)
        self.stack.append(finished)
        for slot in unfinished.slots:
            self.memo[slot] = finished

    def put(self, slot: int) -> None:
        self.memo[slot] = self.stack[-1]
        if isinstance(self.stack[-1], _Unfinished):
            self.stack[-1].slots.append(slot)

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"expected a {kind.__name__}")
        return self.stack[-1]

    def items(self) -> list[Any]:
        """What lies above the last mark, which goes too."""
        start = len(self.stack) - 1
        while self.stack[start] is not _Mark:
            start -= 1
            if start < 0:
                raise ValueError("no mark")
        items = self.stack[start + 1 :]
        del self.stack[start:]
        return items

    def set_items(self, items: list[Any]) -> None:
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int, float):
                raise ValueError(f"a key must be text or a number, got {type(key).__name__}")
            target[key] = value

    def encode(self, text: str, encoding: str) -> bytes:
        """Bytes as protocol 2 spells them."""
        if encoding != "latin1":
            raise ValueError(f"encoding {encoding!r:.80}")
        self.spend(len(text))
        return text.encode("latin1")

    def array(self, state: tuple[Any, ...]) -> np.ndarray:
        """The array of ndarray's state (version, shape, dtype, column-major, bytes or list of objects)."""
        _, shape, dtype, fortran, content = state
        if isinstance(dtype, np.dtype) and dtype.kind == "O":
            flat = np.empty(len(content), object)
            for i, item in enumerate(content):
                flat[i] = item
        else:
            self.spend(len(content))
            flat = np.frombuffer(bytearray(content), _number(dtype))
        return flat.reshape(shape, order="F" if fortran else "C")

    def spend(self, count: int) -> None:
        """Pay for a copy: a few instructions could otherwise repeat one large text without end."""
        self.budget -= count
        if self.budget < 0:
            raise UnsafeFileError("its pickled part unfolds to more than it holds")


def _number(dtype: Any) -> np.dtype:
    if not isinstance(dtype, np.dtype) or dtype.kind == "O" or dtype.itemsize == 0:
        raise ValueError("expected the dtype of a number or of text")
    return dtype


def _dtype(code: str, state: tuple[Any, ...]) -> np.dtype:
    """`dtype(code)` with the byte order of its state (version, order, subdtype, names, fields, ...)."""
    if any(part is not None for part in state[2:5]):
        raise ValueError("structured arrays are not read")
    return simple_dtype(code).newbyteorder(state[1])
