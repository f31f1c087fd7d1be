"""A check of ours for schemathesis: what an application may do, a stranger may not, and cannot tell from what there is not.

Loaded by schemathesis (`hooks` in its configuration). Whatever succeeds for the application is asked for again with the token of an
application that may see no merchant; the answer must be 403 or 404 and, but for ids, the same as for ids that nobody has.
"""

import os
import uuid

import requests
import schemathesis

# Parameters that name something of a merchant's.
NAMES = ("id", "orderId", "disputeId", "catalogId", "categoryId", "itemId", "productId", "batchId", "interruptionId", "alternativeId")
HIDDEN = (400, 403, 404)
TIMEOUT_S = 30
LEFT_OUT = ("authorization", "idempotency-key")


@schemathesis.check
def foreign_is_invisible(ctx, response, case):
    named = [name for name in case.path_parameters or {} if name in NAMES]
    if response.status_code >= 400 or not named:
        return None
    foreign = send(case, case.path_parameters)
    unknown = send(case, {name: str(uuid.uuid4()) if name in named else value for name, value in case.path_parameters.items()})
    shown = {"foreign": foreign, "unknown": unknown}
    for what, answer in shown.items():
        if answer.status_code not in HIDDEN:
            raise AssertionError(f"a stranger is answered {answer.status_code} for what is {what}: {answer.text[:200]}")
    if (foreign.status_code, foreign.text) != (unknown.status_code, unknown.text):
        raise AssertionError(
            f"a stranger can tell what is foreign ({foreign.status_code}: {foreign.text[:200]}) "
            f"from what there is not ({unknown.status_code}: {unknown.text[:200]})"
        )
    return None


def send(case, path_parameters):
    """The same request with the stranger's token, not seen by other checks. Without its key: two requests may not share one."""
    arguments = case.as_transport_kwargs()
    path = case.operation.path
    for name, value in path_parameters.items():
        path = path.replace("{" + name + "}", requests.utils.quote(str(value), safe=""))
    headers = {name: value for name, value in (arguments.pop("headers", None) or {}).items() if name.lower() not in LEFT_OUT}
    headers["Authorization"] = f"Bearer {os.environ['STRANGER_TOKEN']}"
    arguments.update(url=os.environ["COMANDA_URL"] + path, headers=headers, timeout=TIMEOUT_S)
    return requests.request(**arguments)
