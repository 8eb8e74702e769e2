"""The app: Flask, whose `app` cloister.toml names."""

import cloister
from flask import Flask

app = Flask(__name__)
app.logger.setLevel("INFO")


@app.get("/")
def index():
    visits = cloister.cache.incr("visits", initial=1)
    app.logger.info("visit", extra={"visits": visits})
    return f"Hello from @NAME@, visit {visits}\n"
