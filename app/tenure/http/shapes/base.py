"""What answers have in common, and those of the service itself."""

from types import UnionType
from typing import Annotated, Any, Literal

from litestar.openapi.datastructures import ResponseSpec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import WithJsonSchema

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Shape(BaseModel):
    """An answer. Members may be added in later versions."""

    model_config = ConfigDict(extra="allow", defer_build=True)


class Health(Shape):
    """Whether the service can work."""

    ready: bool
    checks: dict[str, Any]


class Alive(Shape):
    """The process answers."""

    status: Literal["ok"]


class Problem(Shape):
    """What went wrong and what to do (RFC 9457)."""

    type: Annotated[str, Field(pattern="^urn:tenure:problem:")]
    title: str
    status: int
    detail: str
    field: str = ""
    line: int | None = None
    file: int | None = None
    rule: str = ""
    remedy: str = ""
    limit: str = ""
    retry_after: int = 1


def answers(
    status: int, shape: type[Any] | UnionType, description: str, *, media: str = "application/json"
) -> dict[int, ResponseSpec]:
    """The documented success of a call."""
    return {
        status: ResponseSpec(
            data_container=shape, description=description, media_type=media, generate_examples=False
        )
    }
