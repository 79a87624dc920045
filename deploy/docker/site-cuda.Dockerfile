# The hospital's image for NVIDIA GPUs; the wheels bring CUDA, the host its driver and container toolkit. Its build context is a wheelhouse, so it holds no source, no key and no network:
#
#   deploy/wheelhouse WHEELHOUSE --device cuda
#   docker build --file deploy/docker/site-cuda.Dockerfile --tag consilium-site:0.1.0-cuda WHEELHOUSE
#
# To pin the base beyond its tag: --build-arg DIGEST=@sha256:…, as your registry shows it for that tag.
ARG PYTHON=3.11.14-slim-bookworm
ARG DIGEST=

FROM python:${PYTHON}${DIGEST} AS wheels
COPY . /wheelhouse
RUN grep -q '"device": "cuda"' /wheelhouse/about.json \
    && sh /wheelhouse/install /opt/consilium

FROM python:${PYTHON}${DIGEST}
LABEL org.opencontainers.image.title="Consilium: a hospital's site (cuda)" \
      org.opencontainers.image.licenses="Apache-2.0"
# The folders that compose and Helm mount; nothing else of the root file system is ever written.
RUN groupadd --gid 10001 consilium \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin consilium \
    && install -d -o 10001 -g 10001 -m 700 /site \
    && install -d -m 755 /data
COPY --from=wheels /opt/consilium /opt/consilium
ENV PATH=/opt/consilium/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLWR_TELEMETRY_ENABLED=0 \
    FLWR_DISABLE_UPDATE_CHECK=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
VOLUME ["/site"]
STOPSIGNAL SIGTERM
# Progress, not a process id: unhealthy as soon as no round could be answered, whatever the reason.
HEALTHCHECK --interval=30s --timeout=20s --start-period=120s --retries=3 \
    CMD ["consilium", "site", "health", "/site", "--probe", "progress"]
ENTRYPOINT ["consilium"]
CMD ["site", "start", "/site"]
