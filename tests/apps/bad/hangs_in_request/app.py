import time


def application(environ, start_response):
    if environ["PATH_INFO"] == "/loop":
        while True:
            pass
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(3600)
    if environ["PATH_INFO"] == "/stubborn":
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"fine"]
