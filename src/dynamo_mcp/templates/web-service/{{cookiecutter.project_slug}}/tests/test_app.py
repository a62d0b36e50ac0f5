{% set headers = cookiecutter.response_headers | items | selectattr(1) | list %}
import pytest
from starlette.testclient import TestClient

from {{ cookiecutter.package_name }} import build_app
{% if headers %}
from {{ cookiecutter.package_name }}.app import RESPONSE_HEADERS
{% endif %}


@pytest.fixture
def client() -> TestClient:
    return TestClient(build_app())


def test_is_healthy(client: TestClient) -> None:
    response = client.get("/healthz")
    assert response.status_code == 200
    assert response.json() == {"status": "ok"}


def test_counts_words_and_characters(client: TestClient) -> None:
    response = client.post("/counts", json={"text": "to be or not to be"})
    assert response.status_code == 200
    assert response.json() == {"words": 6, "characters": 18}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"text": 7}', 422),
    ],
)
def test_says_in_json_what_is_wrong_with_a_body(
    client: TestClient,
    body: bytes,
    status: int,
) -> None:
    response = client.post("/counts", content=body)
    assert response.status_code == status
    assert "the body must be" in response.json()["error"]


def test_says_in_json_that_a_page_is_missing(client: TestClient) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.json() == {"error": "Not Found"}
{% if headers %}


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
def test_sends_its_headers_with_every_response(client: TestClient, path: str) -> None:
    sent = client.get(path).headers
    assert {name: sent.get(name) for name in RESPONSE_HEADERS} == RESPONSE_HEADERS
{% endif %}
