// Real packages, as Debian has them, unmodified: collected into site-packages and compiled.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/sandbox/worker/fake_node.h"

namespace cloister::testing {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<FakeNode> ServeCompiled(const Files& files) {
  StartOptions options;
  options.code = CompileFiles(files);
  EXPECT_FALSE(options.code.empty());
  return Serve(files, options);
}

// Asks twice: the first answer of a framework often takes another path than the second.
void ExpectAnswer(FakeNode& node, const TestRequest& request, const std::string& part) {
  for (int i = 0; i < 2; ++i) {
    const ReceivedResponse response = node.Ask(request);
    EXPECT_EQ(response.status, 200) << node.LogText();
    EXPECT_THAT(response.body, HasSubstr(part)) << node.LogText();
    EXPECT_TRUE(response.ended);
  }
}

TEST(FrameworkTest, WebPyCookbookHello) {
  Files files = {{"hello.py", R"(
import web
urls = ('/.*', 'hello')
class hello:
    def GET(self): return 'Hello, world'
application = web.application(urls, globals()).wsgifunc()
)"}};
  AddPackages(files, {"web", "cheroot", "jaraco", "more_itertools", "six.py"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {}, "Hello, world");
}

TEST(FrameworkTest, WebPyTemplatesAndForms) {
  Files files = {{"hello.py", R"(
import web
urls = ('/(.*)', 'page')
render = web.template.render('templates/')
class page:
    def GET(self, name): return render.index(name)
    def POST(self, name): return 'got ' + web.input(word='none').word
application = web.application(urls, globals()).wsgifunc()
)"},
                 {"templates/index.html", "$def with (name)\n<b>Hi $name</b>\n"}};
  AddPackages(files, {"web", "cheroot", "jaraco", "more_itertools", "six.py"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {.target = "/bob"}, "<b>Hi bob</b>");
  ExpectAnswer(*node,
               {.method = "POST",
                .target = "/x",
                .headers = {{"host", "h"}, {"content-type", "application/x-www-form-urlencoded"}},
                .body = "word=cheese"},
               "got cheese");
}

TEST(FrameworkTest, FlaskWithTemplatesSessionsUploadsAndStaticFiles) {
  Files files = {{"hello.py", R"(
from flask import Flask, jsonify, render_template, request, session
application = Flask(__name__)
application.secret_key = 'k'
@application.route('/hi/<name>')
def hi(name):
    session['n'] = session.get('n', 0) + 1
    return render_template('hi.html', name=name, q=request.args.get('x'))
@application.route('/json')
def js(): return jsonify(a=[1, 2])
@application.route('/up', methods=['POST'])
def up():
    file = request.files['f']
    return f'{file.filename} {len(file.read())} {request.form["a"]}'
@application.route('/fail')
def fail():
    application.logger.warning('about to fail')
    raise ValueError('flask failed')
)"},
                 {"templates/base.html", "<html>{% block b %}{% endblock %}</html>"},
                 {"templates/hi.html",
                  "{% extends 'base.html' %}{% block b %}<b>{{ name }}</b> {{ q }}{% endblock %}"},
                 {"static/site.css", "body { color: red }\n"}};
  AddPackages(files, {"flask", "werkzeug", "jinja2", "click", "markupsafe", "itsdangerous",
                      "blinker", "Flask-2.2.2.egg-info", "Werkzeug-2.2.2.egg-info"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {.target = "/hi/<bob>?x=1"}, "<html><b>&lt;bob&gt;</b> 1</html>");
  ExpectAnswer(*node, {.target = "/json"}, "{\"a\":[1,2]}");
  ExpectAnswer(*node, {.target = "/static/site.css"}, "color: red");
  const std::string large(600'000, 'f');
  const std::string form =
      "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nfield\r\n--b\r\n"
      "Content-Disposition: form-data; name=\"f\"; filename=\"x.bin\"\r\n"
      "Content-Type: application/octet-stream\r\n\r\n" +
      large + "\r\n--b--\r\n";
  ExpectAnswer(*node,
               {.method = "POST",
                .target = "/up",
                .headers = {{"host", "h"}, {"content-type", "multipart/form-data; boundary=b"}},
                .body = form},
               "x.bin 600000 field");
  EXPECT_EQ(node->Ask({.target = "/fail"}).status, 500);
  EXPECT_THAT(node->LogText(), HasSubstr("about to fail"));
  EXPECT_THAT(node->LogText(), HasSubstr("ValueError: flask failed"));
  EXPECT_THAT(node->LogText(), HasSubstr("\"hello@1.2.0/hello.py\""));
}

TEST(FrameworkTest, Bottle) {
  Files files = {{"hello.py", R"(
from bottle import Bottle, request, static_file, template
application = Bottle()
@application.route('/hello/<name>')
def hello(name): return template('page', name=name)
@application.route('/file')
def file(): return static_file('note.txt', root='/app')
@application.post('/form')
def form(): return 'form ' + request.forms.get('a')
)"},
                 {"views/page.tpl", "<i>{{name}}</i>"},
                 {"note.txt", "a note"}};
  AddPackages(files, {"bottle.py"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {.target = "/hello/al"}, "<i>al</i>");
  ExpectAnswer(*node, {.target = "/file"}, "a note");
  ExpectAnswer(*node,
               {.method = "POST",
                .target = "/form",
                .headers = {{"host", "h"}, {"content-type", "application/x-www-form-urlencoded"}},
                .body = "a=b"},
               "form b");
}

TEST(FrameworkTest, WebObAndRoutes) {
  Files files = {{"hello.py", R"(
from webob import Request, Response
from routes import Mapper
m = Mapper(); m.connect('r', '/r/{id}', controller='c')
def application(environ, start_response):
    req = Request(environ); d = m.match(req.path_info)
    return Response('routes %s %s' % (d['id'], req.GET.get('x')))(environ, start_response)
)"}};
  AddPackages(files, {"webob", "routes", "repoze", "six.py"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {.target = "/r/42?x=y"}, "routes 42 y");
}

TEST(FrameworkTest, SqlAlchemyOnAMemoryDatabase) {
  Files files = {{"hello.py", R"(
from sqlalchemy import create_engine, Column, Integer, String, select, func
from sqlalchemy.orm import declarative_base, Session
from sqlalchemy.pool import StaticPool
Base = declarative_base()
class U(Base):
    __tablename__ = 'u'; id = Column(Integer, primary_key=True); name = Column(String)
eng = create_engine('sqlite://', poolclass=StaticPool, connect_args={'check_same_thread': False})
Base.metadata.create_all(eng)
def application(environ, start_response):
    with Session(eng) as s:
        s.add(U(name='x')); s.commit()
        n = s.execute(select(func.count()).select_from(U)).scalar()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'rows >= 1' if n else b'none']
)"}};
  AddPackages(files, {"sqlalchemy"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {}, "rows >= 1");
}

TEST(FrameworkTest, DjangoWithTemplatesSessionsAndAZone) {
  Files files = {{"hello.py", R"(
import os
os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_settings')
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
)"},
                 {"site_settings.py", R"(
from pathlib import Path
BASE_DIR = Path(__file__).resolve().parent
DEBUG = False
SECRET_KEY = 'x' * 50
ROOT_URLCONF = 'site_urls'
ALLOWED_HOSTS = ['*']
USE_I18N = True
USE_TZ = True
TIME_ZONE = 'Europe/Paris'
INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth', 'django.contrib.sessions']
DEFAULT_AUTO_FIELD = 'django.db.models.AutoField'
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}
SESSION_ENGINE = 'django.contrib.sessions.backends.signed_cookies'
MIDDLEWARE = ['django.middleware.security.SecurityMiddleware',
              'django.contrib.sessions.middleware.SessionMiddleware',
              'django.middleware.common.CommonMiddleware',
              'django.middleware.csrf.CsrfViewMiddleware',
              'django.contrib.auth.middleware.AuthenticationMiddleware']
TEMPLATES = [{'BACKEND': 'django.template.backends.django.DjangoTemplates',
              'DIRS': [BASE_DIR / 'pages'], 'OPTIONS': {}}]
)"},
                 {"site_urls.py", R"(
from django.db import connection
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
def page(request):
    request.session['a'] = 1
    with connection.cursor() as c:
        c.execute('select 1+2')
        n = c.fetchone()[0]
    return render(request, 'page.html', {'n': n, 'zone': timezone.localtime().tzname()})
def fail(request): raise ValueError('django failed')
urlpatterns = [path('page', page), path('fail', fail)]
)"},
                 {"pages/page.html", "django says {{ n }} {% now \"Y\" %} in {{ zone }}"}};
  AddPackages(files, {"django", "asgiref", "sqlparse", "pytz"});
  const auto node = ServeCompiled(files);
  ExpectAnswer(*node, {.target = "/page"}, "django says 3 20");
  EXPECT_THAT(node->Ask({.target = "/page"}).body, HasSubstr(" in CE"));
  EXPECT_EQ(node->Ask({.target = "/fail"}).status, 500);
  EXPECT_THAT(node->LogText(), HasSubstr("ValueError: django failed"));
}

}  // namespace
}  // namespace cloister::testing
