def application(environ, start_response):
    if environ["PATH_INFO"] == "/hop":
        start_response("200 OK", [("Connection", "close")])
    elif environ["PATH_INFO"] == "/name":
        start_response("200 OK", [("Bad Name", "x")])
    elif environ["PATH_INFO"] == "/value":
        start_response("200 OK", [("X-Split", "a\r\nSet-Cookie: b=c")])
    else:
        start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
