# The coordinator's image: SuperLink, SuperExec and nginx under one supervisor. Its build context is a wheelhouse:
#
#   deploy/wheelhouse WHEELHOUSE --device cpu
#   docker build --file deploy/docker/coordinator.Dockerfile --tag consilium-coordinator:0.1.0 WHEELHOUSE
#
# To pin the base beyond its tag: --build-arg DIGEST=@sha256:…, as your registry shows it for that tag.
ARG PYTHON=3.11.14-slim-bookworm
ARG DIGEST=

FROM python:${PYTHON}${DIGEST} AS wheels
COPY . /wheelhouse
RUN grep -q '"device": "cpu"' /wheelhouse/about.json \
    && sh /wheelhouse/install /opt/consilium

FROM python:${PYTHON}${DIGEST}
LABEL org.opencontainers.image.title="Consilium: the coordinator" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && apt-get install -y --no-install-recommends nginx-light=1.22.* \
    && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/default
RUN groupadd --gid 10001 consilium \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin consilium \
    && install -d -o 10001 -g 10001 -m 700 /coordinator
COPY --from=wheels /opt/consilium /opt/consilium
ENV PATH=/opt/consilium/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FLWR_TELEMETRY_ENABLED=0 \
    FLWR_DISABLE_UPDATE_CHECK=1
USER 10001:10001
VOLUME ["/coordinator"]
STOPSIGNAL SIGTERM
# 200 only while every program makes progress and the certificate is valid.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9464/health', timeout=5)"]
ENTRYPOINT ["consilium"]
CMD ["server", "start", "/coordinator", "--metrics", "127.0.0.1:9464"]
