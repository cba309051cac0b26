# One image for all steps of the pipeline and for serving: docs/how-to/image.md says how it is built.
#
#   --target cpu    (the default) everything but language models
#   --target cuda   also what language models need, with CUDA's torch; for linux/amd64
#
# A multi-platform index of python:3.11.16-slim-bookworm, as published in 2026-09. An argument, so that a mirror can be
# named; docs/how-to/image.md says how a newer digest is looked up.
ARG BASE=docker.io/library/python:3.11.16-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

# What changes least: the system. deploy runs git, and ssh for remotes by ssh.
FROM ${BASE} AS system
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client \
 && apt-get clean \
 && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old
# ssh refuses a user without an entry in passwd. Home is /tmp, which alone is writable where the root is read-only.
RUN groupadd --gid 10001 ostinato \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ostinato
ENV PATH=/opt/ostinato/bin:${PATH} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=1 \
    OSTINATO_WORKSPACE=/workspace
WORKDIR /workspace

# The installer, which stays out of the image. Secrets: configuration of a private index, if there is one.
FROM system AS installer
COPY requirements-uv.lock /locks/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --no-deps --require-hashes -r /locks/requirements-uv.lock \
 && python3 -m venv --without-pip /opt/ostinato
ENV VIRTUAL_ENV=/opt/ostinato UV_NO_CACHE=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1

FROM installer AS libraries
COPY requirements-image.lock /locks/
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml \
    /opt/uv/bin/uv pip install --no-deps --require-hashes -r /locks/requirements-image.lock
# Libraries' own tests are an eighth of what they weigh.
RUN cd "$(/opt/ostinato/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
 && find matplotlib numpy pandas pyarrow scipy sklearn statsmodels -type d -name tests -prune -exec rm -r {} + \
 && rm /opt/ostinato/.lock
# The code is found from any folder, whatever PYTHONPATH is.
RUN echo /workspace > "$(/opt/ostinato/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/ostinato.pth" \
 && printf '#!/opt/ostinato/bin/python\nimport sys\n\nfrom pipelines.cli import main\n\nsys.exit(main())\n' > /opt/ostinato/bin/ostinato \
 && chmod 755 /opt/ostinato/bin/ostinato

# What the steps run on, without code: it changes with the locks alone.
FROM system AS runtime
COPY --from=libraries /opt/ostinato /opt/ostinato

# torch and CUDA weigh most and change least, so they are a layer below the other libraries of language models.
FROM runtime AS runtime-cuda
COPY requirements-cuda.lock requirements-llm.lock /locks/
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml --mount=type=bind,from=installer,source=/opt/uv,target=/opt/uv \
    VIRTUAL_ENV=/opt/ostinato /opt/uv/bin/uv pip install --no-cache --compile-bytecode --no-deps --require-hashes \
      -r /locks/requirements-cuda.lock \
 && rm /opt/ostinato/.lock
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml --mount=type=bind,from=installer,source=/opt/uv,target=/opt/uv \
    VIRTUAL_ENV=/opt/ostinato /opt/uv/bin/uv pip install --no-cache --compile-bytecode --no-deps --require-hashes \
      -r /locks/requirements-llm.lock \
 && rm /opt/ostinato/.lock

# The workspace with its bytecode. Hashes in place of times: a builder may change the times of files.
FROM runtime AS code
COPY pyproject.toml LICENSE serving-runtimes.yam[l] /workspace/
COPY manifests /workspace/manifests
COPY training /workspace/training
COPY components /workspace/components
COPY delivery /workspace/delivery
COPY pipelines /workspace/pipelines
RUN chmod -R u=rwX,go=rX /workspace \
 && python -m compileall -q --invalidation-mode checked-hash training delivery components pipelines

FROM runtime-cuda AS cuda
COPY --from=code /workspace /workspace
ARG COMMIT=unknown
ARG CREATED=1970-01-01T00:00:00Z
ENV OSTINATO_CODE_VERSION=${COMMIT}
LABEL org.opencontainers.image.title="ostinato" \
      org.opencontainers.image.description="The steps of a continuous training pipeline and the server of its models, with CUDA" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${CREATED}"
USER 10001:10001

FROM runtime AS cpu
COPY --from=code /workspace /workspace
ARG COMMIT=unknown
ARG CREATED=1970-01-01T00:00:00Z
ENV OSTINATO_CODE_VERSION=${COMMIT}
LABEL org.opencontainers.image.title="ostinato" \
      org.opencontainers.image.description="The steps of a continuous training pipeline and the server of its models" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${CREATED}"
USER 10001:10001
