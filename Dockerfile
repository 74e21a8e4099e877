# Two stages: the first installs, the second only runs. This Python is the one that CI tests on.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /venv
COPY requirements.lock ./
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY . .
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim AS bot
# The openai package trusts the system's certificates; slim images come without them.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 10001 attune \
    && install --directory --owner=attune /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH ATTUNE_DATA_DIR=/data PYTHONUNBUFFERED=1
USER attune
WORKDIR /home/attune
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-m", "attune", "health"]
# Listens on loopback until ATTUNE_STUDIO_HOST=0.0.0.0 and ATTUNE_STUDIO_PASSWORD are set.
CMD ["python", "-m", "attune", "run"]

# With a language model: docker build --target engine .
# A new volume begins with a copy of what is in /data here, so the volume is declared after it.
FROM bot AS engine
RUN python -m attune engine install --yes --no-gpu && rm -rf /home/attune/.cache
VOLUME /data

# What is built unless a target is named.
FROM bot
VOLUME /data
