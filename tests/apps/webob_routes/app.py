"""WebOb and Routes under a hand-made WSGI callable."""
from routes import Mapper
from webob import Request, Response, exc

mapper = Mapper()
mapper.connect("item", "/items/{id}", controller="item")
mapper.connect("upload", "/upload", controller="upload", conditions={"method": ["POST"]})


def application(environ, start_response):
    request = Request(environ)
    match = mapper.match(request.path_info, environ)
    if match is None:
        return exc.HTTPNotFound()(environ, start_response)
    if match["controller"] == "upload":
        field = request.POST["file"]
        text = f"{field.filename} {len(field.file.read())}"
    else:
        text = f"item {match['id']} {request.GET.get('x')}"
    response = Response(text, content_type="text/plain", charset="utf-8")
    response.etag = "v1"
    response.conditional_response = True
    return response(environ, start_response)
