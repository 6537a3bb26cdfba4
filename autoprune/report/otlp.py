"""Sending spans to an OpenTelemetry collector, by OTLP over HTTP. Needs the extra `otel`.

Trace and span ids are derived from the run's first event and the span's path, so that sending a run again or resuming
it gives the same trace.
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from autoprune.errors import AutoPruneError, UsageError
from autoprune.report.spans import Span
from autoprune.report.text import one_line, visible

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.util.types import AttributeValue

INSTALL = "pip install 'autoprune[otel]'"
TIMEOUT = 10.0
"""Seconds for a request, including retries."""
BATCH = 500
LONGEST = 2000


class Collector:
    """An OTLP endpoint. The path for traces is added to an address without one (http://localhost:4318); headers,
    certificates and compression come from the standard OTEL_EXPORTER_OTLP_* variables.

    Raises UsageError for an invalid address, or without the extra.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"--otlp {url!r} is not an address such as http://localhost:4318")
        try:
            import requests
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ModuleNotFoundError:
            raise UsageError(f"--otlp needs the extra otel: {INSTALL}") from None
        self.url = url if parts.path.strip("/") else f"{url.rstrip('/')}/v1/traces"
        session = requests.Session()
        session.trust_env = parts.hostname not in ("localhost", "127.0.0.1", "::1")  # no proxy for this machine
        self._exporter = OTLPSpanExporter(endpoint=self.url, timeout=TIMEOUT, session=session)
        self.sent = 0

    def send(self, identity: str, spans: Sequence[Span]) -> None:
        """Send spans of a run by its identity (`Spans.identity`). Raises AutoPruneError if they are not accepted."""
        from opentelemetry.sdk.trace.export import SpanExportResult

        for start in range(0, len(spans), BATCH):
            batch = [self._readable(identity, span) for span in spans[start : start + BATCH]]
            with _FailureLog() as log:
                result = self._exporter.export(batch)
            if result is not SpanExportResult.SUCCESS:
                raise AutoPruneError(f"the collector at {self.url} did not accept the spans: {log.reason}")
            self.sent += len(batch)

    def close(self) -> None:
        self._exporter.shutdown()

    def _readable(self, identity: str, span: Span) -> "ReadableSpan":
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import Event, ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        def context(path: str) -> SpanContext:
            trace, own = _number(identity, 16), _number(f"{identity} {path}", 8)
            return SpanContext(trace, own, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

        remarks = [Event(name, _attributes(facts), _nanoseconds(time)) for time, name, facts in span.remarks]
        status = Status(StatusCode.ERROR, visible(span.failed, LONGEST)) if span.failed else Status(StatusCode.UNSET)
        return ReadableSpan(
            name=visible(span.name, LONGEST),
            context=context(span.path),
            parent=context(span.parent) if span.parent else None,
            resource=Resource({"service.name": "autoprune", "service.version": version("autoprune")}),
            attributes=_attributes(span.attributes),
            events=remarks,
            kind=SpanKind.CLIENT if span.remote else SpanKind.INTERNAL,
            status=status,
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end or span.start),
            instrumentation_scope=InstrumentationScope("autoprune", version("autoprune")),
        )


class _FailureLog(logging.Handler):
    """Captures the reason of a failure, which the exporter only logs, and hides it from the terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = "no reason given"
        self._logger = logging.getLogger("opentelemetry")

    def __enter__(self) -> "_FailureLog":
        self._propagated, self._logger.propagate = self._logger.propagate, False
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate = self._propagated

    def emit(self, record: logging.LogRecord) -> None:
        arguments = record.args if isinstance(record.args, tuple) else ()
        causes = [argument for argument in arguments if isinstance(argument, BaseException)]
        if causes:
            self.reason = one_line(_root(causes[0]))
        elif self.reason == "no reason given":
            self.reason = one_line(record.getMessage())


def _root(error: BaseException) -> BaseException:
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return error


def _number(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size])


def _nanoseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000) * 1_000_000


def _attributes(facts: dict[str, Any]) -> "dict[str, AttributeValue]":
    """Plain values without unknown ones; texts have no control characters."""
    return {key: _value(value) for key, value in facts.items() if value not in (None, "", [])}


def _value(value: Any) -> "AttributeValue":
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [visible(part, LONGEST) for part in value]
    return visible(value, LONGEST)
