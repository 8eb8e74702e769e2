"""Processes, network, threads, databases and the rest."""

from expect import NETWORK_TEXT, PROCESS_TEXT, raises, yields


# --- processes, network, signals


@raises(PROCESS_TEXT)
def subprocess_run():
    import subprocess
    subprocess.run(['/bin/true'])


@raises(PROCESS_TEXT)
def subprocess_output():
    import subprocess
    subprocess.check_output('id', shell=True)


@raises(PROCESS_TEXT)
def os_system():
    import os
    os.system('true')


@raises(PROCESS_TEXT)
def os_popen():
    import os
    os.popen('true')


@raises(PROCESS_TEXT)
def os_fork():
    import os
    os.fork()


@raises(PROCESS_TEXT)
def os_exec():
    import os
    os.execvp('true', ['true'])


@raises(PROCESS_TEXT)
def multiprocessing_process():
    import multiprocessing
    multiprocessing.Process(target=print).start()


@raises(PROCESS_TEXT)
def multiprocessing_lock():
    import multiprocessing
    multiprocessing.Lock()


@raises('PermissionError')
def multiprocessing_queue():
    import multiprocessing
    multiprocessing.Queue()


@raises('PermissionError')
def process_pool():
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1) as p: return p.submit(abs, -1).result()


@raises(NETWORK_TEXT)
def socket_():
    import socket
    socket.socket()


@raises(NETWORK_TEXT)
def socketpair():
    import socket
    socket.socketpair()


@raises('gaierror: [Errno -4] a worker has no network')
def getaddrinfo():
    import socket
    socket.getaddrinfo('localhost', 80)


@raises('URLError')
def urlopen():
    import urllib.request
    urllib.request.urlopen('http://127.0.0.1/')


@raises('a worker has no network')
def http_client():
    import http.client
    http.client.HTTPConnection('example.com').request('GET', '/')


@raises('a worker has no network')
def smtp():
    import smtplib
    smtplib.SMTP('localhost')


@raises('PermissionError: [Errno 1] a worker cannot send signals')
def os_kill():
    import os
    os.kill(os.getpid(), 0)


@yields(True)
def signal_handler():
    import signal
    signal.signal(signal.SIGUSR1, lambda *a: 0)
    return True


@yields(None)
def faulthandler_():
    import faulthandler
    return faulthandler.enable()


# --- threads, asyncio


@yields([1])
def thread():
    import threading
    r = []; t = threading.Thread(target=r.append, args=(1,)); t.start(); t.join()
    return r


@yields(45)
def thread_pool():
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(4) as p: return sum(p.map(abs, range(-9, 1)))


@yields(True)
def timer_thread():
    import threading
    e = threading.Event(); threading.Timer(0.01, e.set).start()
    return e.wait(5)


@yields((7, [1, 2], 'slept'))
def asyncio_run():
    import asyncio
    async def slow():
        await asyncio.sleep(0.01); return 'slept'
    async def main():
        loop = asyncio.get_running_loop()
        return (await loop.run_in_executor(None, abs, -7),
                await asyncio.gather(asyncio.sleep(0, 1), asyncio.sleep(0, 2)),
                await asyncio.wait_for(slow(), 5))
    return asyncio.run(main())


@raises('TimeoutError')
def asyncio_timeout():
    import asyncio
    async def main():
        async with asyncio.timeout(0.01): await asyncio.sleep(10)
    asyncio.run(main())


@yields([0, 1, 2])
def asyncio_queue_and_threads():
    import asyncio
    async def main():
        q = asyncio.Queue(); loop = asyncio.get_running_loop()
        def produce():
            for i in range(3): loop.call_soon_threadsafe(q.put_nowait, i)
        await asyncio.to_thread(produce)
        return [await q.get() for _ in range(3)]
    return asyncio.run(main())


@raises('a worker has no network')
def asyncio_connect():
    import asyncio
    asyncio.run(asyncio.open_connection('127.0.0.1', 1))


@yields(5)
def new_event_loop():
    import asyncio
    loop = asyncio.new_event_loop()
    try: return loop.run_until_complete(asyncio.sleep(0, 5))
    finally: loop.close()


# --- databases, cryptography, text


@yields((50000,))
def sqlite_memory_sorts():
    import sqlite3
    c = sqlite3.connect(':memory:')
    c.execute('create table t(a)')
    c.executemany('insert into t values(?)', ((str(i) * 20,) for i in range(50000)))
    return c.execute('select count(*) from (select a from t order by a)').fetchone()


@yields((2,))
def sqlite_temp_store():
    import sqlite3
    return sqlite3.connect(':memory:').execute('PRAGMA temp_store').fetchone()


@raises("OperationalError: unable to open database file 'x.db': a worker has no files")
def sqlite_file():
    import sqlite3
    sqlite3.connect('x.db')


@yields((16, 64, 4))
def randomness():
    import os, secrets, uuid
    return len(os.urandom(16)), len(secrets.token_hex()), uuid.uuid4().version


@yields(True)
def uuid1():
    import uuid
    return uuid.uuid1().version == 1 and uuid.getnode() > 0


@yields(('2d71', '786a', '09'))
def hashes():
    import hashlib
    return (hashlib.sha256(b'x').hexdigest()[:4], hashlib.blake2b(b'').hexdigest()[:4],
            hashlib.scrypt(b'x', salt=b'y', n=1024, r=8, p=1)[:1].hex())


@yields(517)
def ssl_memory():
    import ssl
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    i, o = ssl.MemoryBIO(), ssl.MemoryBIO()
    s = c.wrap_bio(i, o, server_hostname='x')
    try: s.do_handshake()
    except ssl.SSLWantReadError: return o.pending


@yields([999] * 4)
def compress():
    import bz2, gzip, lzma, zlib
    return [len(z.decompress(z.compress(b'x' * 999))) for z in (zlib, gzip, bz2, lzma)]


@yields(('b', 'a'))
def xml_():
    import xml.dom.minidom as m, xml.etree.ElementTree as E
    return E.fromstring('<a><b/></a>')[0].tag, m.parseString('<a/>').documentElement.tagName


@yields([1] * 7 + [b'\x82\xa0'])
def encodings_():
    return [len('é'.encode(e)[:1]) for e in
            ('utf-16', 'cp1252', 'idna', 'latin-1', 'utf-7', 'punycode', 'cp437')] + \
        ['あ'.encode('shift_jis')]


@yields('text/html')
def mimetypes_():
    import mimetypes
    return mimetypes.guess_type('x.html')[0]


@yields(True)
def email_():
    import email.mime.multipart as m, email.mime.text as t
    message = m.MIMEMultipart(); message.attach(t.MIMEText('é'))
    return 'boundary' in message.as_string()


@yields('RecursionError')
def recursion():
    def f(n): return f(n + 1)
    try: f(0)
    except RecursionError: return 'RecursionError'


@yields((5, 2, {1: 2}))
def exec_eval_pickle():
    import pickle
    d = {}; exec('def f(): return 5', d)
    return d['f'](), eval('1+1'), pickle.loads(pickle.dumps({1: 2}))


@yields((True, 'ok'))
def collect_and_trace():
    import gc, tracemalloc
    tracemalloc.start(); tracemalloc.stop()
    return gc.collect() >= 0, 'ok'


@yields(('0.1.0', True, True))
def cloister_package():
    import cloister
    return (cloister.__version__, issubclass(cloister.QuotaExceeded, Exception),
            not issubclass(cloister.WallTimeExceeded, Exception))
