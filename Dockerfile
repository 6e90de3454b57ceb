# Builds the container image: `docker build -t mooring .`
# BASE must be a Debian image with Node 24 and npm. If Docker Hub is not reachable, set BASE to an image on your mirror.
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /app
# Install the packages first. They change less often than the sources, so their layer stays in the cache.
COPY package.json package-lock.json ./
# Package scripts never run. Optional packages are included, because koffi's binary is one of them.
RUN npm ci --ignore-scripts --include=dev --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build \
    && npm ci --ignore-scripts --omit=dev --no-audit --no-fund

FROM ${BASE}
# Mooring needs git. tini reaps child processes and forwards signals. The base image already contains flock and timeout.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && mkdir -p /data /sites \
    && chown 10001:10001 /data /sites \
    && chmod 0700 /data
WORKDIR /app
COPY package.json LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY bin ./bin
COPY config ./config
COPY docs ./docs
COPY views ./views
COPY public ./public
ENV NODE_ENV=production \
    MOORING_STATE=/data \
    MOORING_SITES=/sites \
    MOORING_HOST=0.0.0.0 \
    MOORING_PORT=7420
USER 10001:10001
VOLUME /data
EXPOSE 7420
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.MOORING_PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["tini", "--"]
# Node keeps up to 64 MiB for short-lived objects otherwise, and gives none of it back.
CMD ["node", "--max-semi-space-size=4", "dist/main.js", "serve"]
