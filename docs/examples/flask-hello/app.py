from flask import Flask, render_template, request

application = Flask(__name__)


@application.route("/")
def hello():
    return render_template("hello.html", name=request.args.get("name", "world"))
