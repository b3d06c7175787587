FROM python:3.13-slim-bookworm AS build

WORKDIR /build
COPY requirements/bootstrap.lock requirements/runtime.lock requirements/demo.lock requirements/
RUN pip install --no-cache-dir --require-hashes -r requirements/bootstrap.lock
RUN python -m venv --without-pip /opt/healthcare \
    && uv pip install --no-cache --python /opt/healthcare/bin/python --require-hashes -r requirements/runtime.lock

# The package comes last: a change of code leaves the layers above as they are. What builds it is pinned too.
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN uv build --no-cache --wheel --require-hashes --build-constraints requirements/demo.lock --out-dir dist \
    && uv pip install --no-cache --python /opt/healthcare/bin/python --no-deps dist/*.whl


FROM python:3.13-slim-bookworm

# Logs are lines on standard output; nothing is written anywhere else.
ENV PATH=/opt/healthcare/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=build /opt/healthcare /opt/healthcare

USER 1000:1000
WORKDIR /
EXPOSE 3000
# Asks the API; a container that runs another command has to disable it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 \
    CMD ["python", "-c", "from os import environ; from urllib.request import urlopen; urlopen(f'http://127.0.0.1:{environ[\"PORT\"]}/health/ready', timeout=3)"]
CMD ["healthcare", "api"]
