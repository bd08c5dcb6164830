# The server and the relay; see docs/operations.md. Everything that is installed is pinned and hash-checked.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements-build.txt requirements-server.txt ./
RUN python -m venv /build \
 && /build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-build.txt \
 && python -m venv /opt/busproof \
 && /opt/busproof/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r requirements-server.txt
COPY pyproject.toml README.md LICENSE busproof.py ./
COPY conformance conformance
COPY fixtures fixtures
COPY openapi openapi
COPY reference_server reference_server
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/busproof/bin/pip install --no-cache-dir --no-deps --no-index /wheels/busproof-*.whl

FROM python:3.11-slim-bookworm
COPY --from=build /opt/busproof /opt/busproof
# A number: an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /tmp
ENV PATH=/opt/busproof/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    BUSPROOF_HOST=0.0.0.0 \
    BUSPROOF_PORT=8080 \
    BUSPROOF_LOG_FORMAT=json
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v1/health', timeout=2)"]
ENTRYPOINT ["busproof"]
CMD ["serve"]
