"""What a machine thinks of, by the API's own description: nothing fails, or is answered as not described."""

from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable

from app.api.application import create_app
from tasks.settings import Settings
from tests.api import BEARER, TOKEN

LEFT_OUT = {
    "/events",  # never ends
    "/ready",  # Redis is not there in this test, and 503 is what says so
}
few = hypothesis_settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_nothing_that_can_be_asked_fails(settings: Settings) -> None:
    # Imported here: every run of the tests collects this file, and this is a second.
    from schemathesis import GenerationMode, openapi
    from schemathesis.checks import not_a_server_error
    from schemathesis.python import asgi
    from schemathesis.specs.openapi import checks

    wanted = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_headers_conformance,
        checks.response_schema_conformance,
    ]
    # With the token needed, no path of this machine is taken: nobody counts as local.
    app = create_app(settings.model_copy(update={"max_file_bytes": 20_000}), TOKEN, needs_token=True)
    described = [one.ok() for one in openapi.from_dict(app.openapi()).get_all_operations()]
    with asgi.get_client(app) as client:
        sent = client.post("http://127.0.0.1/documents?name=a.txt", data=b"a", headers=BEARER)
        document, asked = sent.json()["documents"][0]["id"], 0
        for operation in (one for one in described if one.path not in LEFT_OUT):
            for mode in GenerationMode:

                @few
                @given(case=operation.as_strategy(generation_mode=mode))
                def ask(case: Any) -> None:
                    nonlocal asked
                    asked += 1
                    if asked % 2 and "document" in case.path_parameters and not case.path.endswith("/events"):
                        case.path_parameters["document"] = document
                    case.call_and_validate(
                        session=client, base_url="http://127.0.0.1", headers=BEARER, checks=wanted
                    )

                with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
                    ask()
    assert asked > 3 * len(described)
