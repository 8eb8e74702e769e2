"""Bottle: routes, a template from a file, a static file."""
from bottle import Bottle, request, static_file, template

application = Bottle()


@application.route("/hello/<name>")
def hello(name):
    return template("views/hello.tpl", name=name)


@application.post("/sum")
def add():
    return {"sum": sum(request.json)}


@application.route("/static/<path:path>")
def static(path):
    return static_file(path, root="static")
