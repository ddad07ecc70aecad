"""The lifecycle rules of a bucket, read and put. Blocking, as `cold.s3` is.

**S3 has no compare-and-set for them**: a put replaces what is there, whoever put it, and no condition can be
given. Whoever changes them reads them again right before the put (`governance.lifecycle`), which leaves a
moment in which another's put is lost. And S3 shows a new configuration everywhere only after some minutes.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final
from xml.etree import ElementTree as ET

from botocore.exceptions import BotoCoreError, ClientError

from tenure.cold.lifecycle import Configuration, Rule
from tenure.cold.s3client import REFUSED, client_of, failure_of
from tenure.errors import Conflict, TenureError, Unavailable, Unsupported

_NONE: Final = "NoSuchLifecycleConfiguration"
_UNKNOWN: Final = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405"})
_MISFIT: Final = frozenset({"MalformedXML", "InvalidArgument", "InvalidRequest", "InvalidStorageClass"})
_GET, _PUT = "GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration"
_PERMISSION: Final = {_GET: "s3:GetLifecycleConfiguration", _PUT: "s3:PutLifecycleConfiguration"}
_MINIMUM: Final = "TransitionDefaultMinimumObjectSize"


class BucketRules:
    """The lifecycle rules of a bucket of AWS, or of the S3 server at `endpoint`."""

    def __init__(self, bucket: str, endpoint: str) -> None:
        """Nothing is asked of it yet."""
        self.bucket = bucket
        self._endpoint = endpoint
        self._reading = threading.Lock()
        self._raw = b""

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - boto3 has no types of its own
        # Made when it is needed: few processes of a cell ever ask for rules.
        client = client_of(self._endpoint)
        client.meta.events.register(f"before-parse.s3.{_GET}", self._keep_raw)
        return client

    def read(self) -> Configuration:
        """All rules, ours and others'; none is an empty configuration. One request.

        Raises Unavailable naming the permission that is missing, Unsupported when the server knows no rules,
        Conflict when the bucket has something in its rules that would be lost if they were put again.
        """
        with self._reading, _mapped(_GET, "the bucket's lifecycle rules cannot be read"):
            try:
                found = self._client.get_bucket_lifecycle_configuration(Bucket=self.bucket)
            except ClientError as failure:
                if failure.response["Error"]["Code"] == _NONE:
                    return Configuration()
                raise
            return Configuration(self._whole(found.get("Rules", ())), found.get(_MINIMUM))

    def write(self, configuration: Configuration) -> None:
        """Put these rules, at least one, in place of all that are there. One request.

        Raises as `read`, and Conflict when the server refuses a rule, such as one to a storage class that it
        does not have.
        """
        more = {} if configuration.minimum is None else {_MINIMUM: configuration.minimum}
        with _mapped(_PUT, "the bucket's lifecycle rules were not changed"):
            self._client.put_bucket_lifecycle_configuration(
                Bucket=self.bucket, LifecycleConfiguration={"Rules": list(configuration.rules)}, **more
            )

    # ── nothing of anybody's may get lost on the way through the SDK ─────────────────────────────────
    def _keep_raw(self, response_dict: dict[str, Any], **_: Any) -> None:  # noqa: ANN401 - botocore's event
        self._raw = bytes(response_dict["body"])

    def _whole(self, rules: Sequence[dict[str, Any]]) -> tuple[Rule, ...]:
        """The rules with what the SDK leaves out without a word; the next put would delete it.

        Conflict for elements that it does not know.
        """
        shape = self._client.meta.service_model.operation_model(_GET).output_shape
        answer = ET.fromstring(self._raw)  # noqa: S314 - the answer of the cell's own store; expat bounds entities
        strange = sorted(set(_strange(answer, shape)))
        if strange:
            raise Conflict(
                "The bucket's lifecycle rules have parts that the installed boto3 does not know and would "
                f"leave out ({', '.join(strange)}). Nothing was changed.",
                field="rules",
                rule="every rule of others is kept as it is",
                remedy="Install a newer boto3.",
            )
        elements = [one for one in answer if _name(one) == "Rule"]
        return tuple(_with_whole_filter(rule, one) for rule, one in zip(rules, elements, strict=True))


def _with_whole_filter(rule: dict[str, Any], element: ET.Element) -> Rule:
    """Several conditions all below `And`, where S3 has them.

    Ceph RGW 16 answers with some of them beside it or without it. Put again so, it takes only a part of them,
    and of several tags without `And` the SDK takes the first: the rule would be about more than it was.
    """
    filter_ = next((one for one in element if _name(one) == "Filter"), None)
    beside = [] if filter_ is None else [one for one in filter_ if _name(one) != "And"]
    if filter_ is None or not beside or len(filter_) == 1:
        return rule
    below = [part for one in filter_ if _name(one) == "And" for part in one]
    tags = [one for one in (*beside, *below) if _name(one) == "Tag"]
    given = {**rule["Filter"], **rule["Filter"].get("And", {})}
    conditions = {name: value for name, value in given.items() if name not in ("And", "Tag", "Tags")}
    if tags:
        conditions["Tags"] = [{_name(part): part.text or "" for part in one} for one in tags]
    return {**rule, "Filter": {"And": conditions}}


def _strange(element: ET.Element, shape: Any) -> Iterator[str]:  # noqa: ANN401 - botocore has no types of its own
    """Names of elements below one that a shape of the SDK's model has no member for, or one for several."""
    if shape.type_name == "list":
        yield from _strange(element, shape.member)
    elif shape.type_name == "structure":
        members = {one.serialization.get("name", name): one for name, one in shape.members.items()}
        names = [_name(below) for below in element]
        for name, below in zip(names, element, strict=True):
            if name not in members:
                yield name
            elif members[name].type_name != "list" and names.count(name) > 1 and name != "Tag":
                yield f"several {name}"
            else:
                yield from _strange(below, members[name])


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


@contextmanager
def _mapped(operation: str, not_done: str) -> Iterator[None]:
    """The SDK's errors as ours."""
    try:
        yield
    except ClientError as failure:
        raise _of_code(operation, not_done, failure) from failure
    except BotoCoreError as failure:
        raise failure_of(not_done, failure) from failure


def _of_code(operation: str, not_done: str, failure: ClientError) -> TenureError:
    code = failure.response["Error"]["Code"]
    if code in REFUSED:
        return Unavailable(
            f"S3 refuses these credentials ({code}); {not_done}.",
            retry_after=60,
            remedy=f"They need {_PERMISSION[operation]} on the bucket.",
        )
    if code in _UNKNOWN:
        return Unsupported(
            f"This S3 server has no lifecycle rules ({code}); {not_done}.",
            rule=operation,
            remedy="Use a server that has them, or move and delete what is below packs/ by other means.",
        )
    if operation == _PUT and code in _MISFIT:
        return Conflict(
            f"The S3 server refuses the lifecycle rules ({code}); {not_done}.",
            field="rules",
            rule="rules and storage classes that the server knows",
            remedy="Compare TENURE_COLD_CLASS and TENURE_ARCHIVE_CLASS with the storage classes that it has; "
            "on AWS, compare others' rules below the same prefix with these.",
        )
    return failure_of(not_done, failure)
