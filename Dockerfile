# Not slim: mypyc needs its C compiler.
FROM python:3.11 AS build

RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/opt/loanrouter \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /src

# Dependencies are a layer of their own: it changes only with the lock file.
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --extra otel --no-install-project --no-cache

COPY agents agents
COPY capture capture
COPY cli cli
COPY config config
COPY console console
COPY market market
COPY rotation rotation
COPY streams streams
COPY whatif whatif
RUN HATCH_BUILD_HOOK_ENABLE_MYPYC=1 uv sync --frozen --no-dev --extra otel --no-editable --no-cache


FROM python:3.11-slim

RUN useradd --uid 10001 --create-home loanrouter \
    && install --directory --owner loanrouter /var/lib/loanrouter
COPY --from=build /opt/loanrouter /opt/loanrouter
COPY config/rotation.yaml /etc/loanrouter/rotation.yaml
ENV PATH=/opt/loanrouter/bin:$PATH \
    LOANROUTER_CONFIG=/etc/loanrouter/rotation.yaml \
    LOANROUTER_DATA=/var/lib/loanrouter

USER 10001
WORKDIR /var/lib/loanrouter
ENTRYPOINT ["loanrouter"]
CMD ["--help"]
