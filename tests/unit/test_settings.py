"""What an operator is told about settings that do not go together."""

import sys

import pytest

from healthcare.entrypoints import settings

ENOUGH = {"POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p", "POSTGRES_DB": "d", "SIGNING_KEY_FILE": "key.pem"}


def test_traces_without_their_packages_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    assert settings.read(ENOUGH).otel_exporter_otlp_endpoint == ""
    with pytest.raises(settings.SettingsInvalid, match=r"healthcare\[traces\]"):
        settings.read(ENOUGH | {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
        {"OTEL_TRACES_SAMPLER_ARG": "1.5"},
        {"OTEL_TRACES_SAMPLER_ARG": "nan"},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(settings.SettingsInvalid, match=next(iter(wrong))):
        settings.read(ENOUGH | wrong)
