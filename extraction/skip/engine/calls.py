"""Whose call runs now: other forwards for the calls of those who opened them, never for a module as such.

A module's `forward` is stood in for by a `StandIn` as long as anyone needs it. A stand-in holds no state: it asks the
context of the call (a thread's or an asyncio task's) whether somebody has opened another forward there, and else calls
what it stands for. Copies and pickles of the module are of the module without it.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import MethodType
from typing import Any

from torch import nn

from redundancy.errors import InvalidInputError

__all__ = ["Handler", "Key", "Scope", "forced", "key_of", "opened_here", "own_alone", "running"]

Handler = Callable[[Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
Key = tuple[int, str]

_LOCK = threading.RLock()
_OPENED: ContextVar[tuple[Scope, ...]] = ContextVar("skip_it_opened", default=())
_KEPT: ContextVar[tuple[Scope, ...]] = ContextVar("skip_it_kept", default=())
_SHARED: list[Scope] = []
_RUNNING: ContextVar[tuple[Any, ...]] = ContextVar("skip_it_running", default=())
_FORCED: ContextVar[tuple[Mapping[Key, Handler], ...]] = ContextVar("skip_it_forced", default=())
_OWN_ALONE: ContextVar[bool] = ContextVar("skip_it_own_alone", default=False)
_ACTIVE: ContextVar[frozenset[Key]] = ContextVar("skip_it_active", default=frozenset())


def key_of(module: nn.Module, name: str = "forward") -> Key:
    """What a table of handlers knows a method of a module by."""
    return id(module), name


class StandIn:
    """Stands in for a method of one module; see above."""

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module, self.name = module, name
        self.before = vars(module).get(name)
        self.n_users = 0
        self.__name__ = name
        self._uncompiled: Callable[..., Any] | None = None
        self.__signature__ = inspect.signature(self.inner)

    @property
    def inner(self) -> Callable[..., Any]:
        """What the module would run."""
        if self.before is not None:
            before: Callable[..., Any] = self.before
            return before
        return MethodType(getattr(type(self.module), self.name), self.module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._uncompiled is None and (compiler := sys.modules.get("torch._dynamo")) is not None:
            self._uncompiled = compiler.disable(self._run)  # importing the compiler to ask takes seconds
        return (self._uncompiled or self._run)(args, kwargs)

    __call__._torchdynamo_disable = True  # type: ignore[attr-defined]  # a call's context is no part of a graph

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        key = key_of(self.module, self.name)
        active = _ACTIVE.get()
        # A wrapper made between two stand-ins of one module leads here a second time.
        handler = None if key in active else _handler(key)
        if handler is None:
            return self.inner(*args, **kwargs)
        token = _ACTIVE.set(active | {key})
        try:
            return handler(self.inner, args, kwargs)
        finally:
            _ACTIVE.reset(token)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self.before is not None:
            return copy.deepcopy(self.before, memo)
        return MethodType(getattr(type(self.module), self.name), memo.get(id(self.module), self.module))

    def __reduce__(self) -> Any:
        # While a module is unpickled it has no attributes yet, so this finds the method of its class.
        return getattr, (self.module, self.name)


class Scope:
    """Handlers for methods of some modules, for the calls of one context, or of all that open none themselves.

    Parameters
    ----------
    table : mapping
        A handler for each method; it gets what the method would run, and the arguments.
    modules : mapping
        The module of each method.
    title : str
        Named in errors.
    subject : Key
        What scopes of one model have in common: who has opened one of them is not asked about the others.
    """

    def __init__(
        self, table: Mapping[Key, Handler], modules: Mapping[Key, nn.Module], title: str, subject: Key
    ) -> None:
        self.table, self.title, self.subject = table, title, subject
        self._modules = modules
        self._stand_ins: list[StandIn] = []
        self._n_holders = 0
        self.is_open = False

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Open the scope here; calls that are under way when it closes keep it to their end."""
        with self.held():
            self.is_open = True
            _OPENED.set((*_OPENED.get(), self))
            with _LOCK:
                _SHARED.append(self)
            try:
                yield
            finally:
                self.is_open = False
                with _LOCK:
                    _SHARED.remove(self)
                _OPENED.set(tuple(scope for scope in _OPENED.get() if scope is not self))

    @contextlib.contextmanager
    def held(self, *, here: bool = False) -> Iterator[None]:
        """Keep the stand-ins; `here` also keeps the scope visible in this context, should it be closed elsewhere."""
        with _LOCK:
            self._n_holders += 1
            if self._n_holders == 1:
                self._stand_ins = [_stand_in(module, key[1]) for key, module in self._modules.items()]
        token = _KEPT.set((*_KEPT.get(), self)) if here else None
        try:
            yield
        finally:
            if token is not None:
                _KEPT.reset(token)
            with _LOCK:
                self._n_holders -= 1
                if not self._n_holders:
                    for stand_in in reversed(self._stand_ins):
                        _release(stand_in)
                    self._stand_ins = []


@contextlib.contextmanager
def own_alone() -> Iterator[None]:
    """Calls in here take no notice of what others have opened, as if each model were theirs alone."""
    token = _OWN_ALONE.set(True)
    try:
        yield
    finally:
        _OWN_ALONE.reset(token)


def opened_here() -> tuple[Scope, ...]:
    """Scopes that this context has opened."""
    return tuple(scope for scope in _OPENED.get() if scope.is_open)


@contextlib.contextmanager
def running(run: Any) -> Iterator[None]:
    """Let `run`, whose ``table`` has handlers, be the innermost call under way in this context."""
    token = _RUNNING.set((*_RUNNING.get(), run))
    try:
        yield
    finally:
        _RUNNING.reset(token)


@contextlib.contextmanager
def forced(handlers: Mapping[nn.Module, Handler]) -> Iterator[None]:
    """Let other forwards run in this context, before any that a call under way has."""
    with _LOCK:
        stand_ins = [_stand_in(module, "forward") for module in handlers]
    token = _FORCED.set((*_FORCED.get(), {key_of(module): handler for module, handler in handlers.items()}))
    try:
        yield
    finally:
        _FORCED.reset(token)
        with _LOCK:
            for stand_in in reversed(stand_ins):
                _release(stand_in)


def _handler(key: Key) -> Handler | None:
    for table in reversed(_FORCED.get()):
        if key in table:
            return table[key]
    for run in reversed(_RUNNING.get()):
        if key in run.table:
            found: Handler | None = run.table[key]
            return found
    mine = (*reversed(_KEPT.get()), *reversed(opened_here()))
    for scope in mine:
        if key in scope.table:
            return scope.table[key]
    if _OWN_ALONE.get():
        return None
    subjects = {scope.subject for scope in mine}
    others = [scope for scope in tuple(_SHARED) if key in scope.table and scope.subject not in subjects]
    if len(others) > 1:
        raise InvalidInputError(
            f"{len(others)} plans are open on this model elsewhere ({', '.join(s.title for s in others)}) and none in "
            "this thread or task, so it cannot be told which one is meant: open one here, or Plan() for none"
        )
    return others[0].table[key] if others else None


def _stand_in(module: nn.Module, name: str) -> StandIn:
    """The stand-in of a method, put in place if need be."""
    there = vars(module).get(name)
    if not isinstance(there, StandIn) or there.module is not module:
        there = StandIn(module, name)
        vars(module)[name] = there
    there.n_users += 1
    return there


def _release(stand_in: StandIn) -> None:
    """The last user takes it out, unless something has been wrapped around it since: it then stays and does nothing."""
    stand_in.n_users -= 1
    attributes = vars(stand_in.module)
    if stand_in.n_users or attributes.get(stand_in.name) is not stand_in:
        return
    if stand_in.before is None:
        del attributes[stand_in.name]
    else:
        attributes[stand_in.name] = stand_in.before
