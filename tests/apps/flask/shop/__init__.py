"""A package: template, static file, package data, session, JSON and errors."""
import importlib.resources
import logging

from flask import Flask, jsonify, render_template, request, session

application = Flask(__name__)
application.secret_key = "not a secret: a test"
log = logging.getLogger("shop")


@application.route("/")
def index():
    return render_template("index.html", items=["tea", "salt & pepper"])


@application.route("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return jsonify(count=session["count"])


@application.route("/prices")
def prices():
    return importlib.resources.files("shop").joinpath("prices.csv").read_text()


@application.route("/order", methods=["POST"])
def order():
    log.warning("ordered %s", request.get_json()["item"])
    return jsonify(request.get_json()), 201


@application.route("/broken")
def broken():
    return 1 / 0
