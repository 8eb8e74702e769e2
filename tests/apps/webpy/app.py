"""web.py with a template of its own engine and a form."""
import web

urls = ("/", "Index", "/greet/(.*)", "Greet", "/form", "Form")
render = web.template.render("templates/")


class Index:
    def GET(self):
        return "Hello, " + web.input(name="webpy").name


class Greet:
    def GET(self, name):
        web.header("Content-Type", "text/html; charset=utf-8")
        return render.greet(name)


class Form:
    def POST(self):
        raise web.seeother("/greet/" + web.input().name)


application = web.application(urls, globals()).wsgifunc()
