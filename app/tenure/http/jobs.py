"""Jobs of the cell: the platform operator's calls."""

from typing import Any

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import jobs as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential


@get("/v1/jobs", operation_id="listJobs", responses=answers(200, shapes.Jobs, "What happens by itself"))
async def list_jobs(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """What happens by itself in this cell, how each job went last, and when it is next."""
    return json_reply(200, await tenure_of(request).jobs.every(credential))


@post(
    "/v1/jobs/{name:str}/:run",
    operation_id="runJob",
    status_code=200,
    responses=answers(200, shapes.JobRan, "How it went"),
)
async def run_job(request: Call, name: FromPath[str], credential: NamedDependency[Credential]) -> ASGIApp:
    """Run a job now, due or not, if no other process runs it; repeating the call is safe."""
    return json_reply(200, await tenure_of(request).jobs.run(credential, name))


HANDLERS: list[Any] = [list_jobs, run_job]
