"""Methods that are written once: they block on `Client`, and are awaited on `AsyncClient`."""

from collections.abc import Callable, Coroutine, Generator
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from tenure.client.steps import Step

if TYPE_CHECKING:
    from tenure.client.clients import AsyncClient, Client

P = ParamSpec("P")
R = TypeVar("R")
Work = Generator[Step, Any, R]


class Driver(Protocol):
    """What `Client` and `AsyncClient` have in common: they carry out the steps of a call, each in its way."""

    def drive(self, work: Work[Any], /) -> Any:  # noqa: ANN401 - a result, or what is awaited for it
        """What the work returns."""


class Operation(Generic[P, R]):
    """A method whose body yields steps; as a method of a client it carries them out."""

    def __init__(self, work: Callable[Concatenate[Any, P], Work[R]]) -> None:
        self.steps = work
        """The steps of a client's call, not yet carried out: for whoever makes one call of several."""
        update_wrapper(self, work)  # type: ignore[arg-type]  # its name, signature and docstring

    @overload
    def __get__(self, client: "Client", owner: type, /) -> Callable[P, R]: ...
    @overload
    def __get__(self, client: "AsyncClient", owner: type, /) -> Callable[P, Coroutine[Any, Any, R]]: ...
    @overload
    def __get__(self, client: None, owner: type, /) -> "Operation[P, R]": ...
    def __get__(self, client: Any, owner: type, /) -> Any:
        """Bound to a client."""
        if client is None:
            return self

        def bound(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - see `Driver`
            return client.drive(self.steps(client, *args, **kwargs))

        return update_wrapper(bound, self.steps)


def operation(work: Callable[Concatenate[Any, P], Work[R]]) -> Operation[P, R]:
    """Decorate a generator method of a mixin of both clients."""
    return Operation(work)
