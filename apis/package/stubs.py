"""Stubs (.pyi) of the package for editors: what is public, without what it does.

As a program: stubs.py PACKAGE_FOLDER OUTPUT_FOLDER, of a package that assemble.py made.
"""

import ast
import os
import sys

_LEFT_OUT = ('_local', 'dev', '_transport.py')
_NOT_IMPORTED = ('cloister._transport', 'cloister._local', 'importlib')


def _is_public(name):
    return not name.startswith('_') or name in ('__init__', '__call__', '__get__', '__all__',
                                                '__getitem__', '__iter__', '__len__')


def _is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) \
        and node.test.id == 'TYPE_CHECKING'


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) \
        and isinstance(node.value.value, str)


def _hide_private_defaults(arguments):
    for defaults in (arguments.defaults, arguments.kw_defaults):
        for index, value in enumerate(defaults):
            if isinstance(value, ast.Name) and not _is_public(value.id):
                defaults[index] = ast.Constant(...)


def _function(node):
    _hide_private_defaults(node.args)
    node.body = [each for each in node.body[:1] if _is_docstring(each)]
    node.body.append(ast.Expr(ast.Constant(...)))
    return node


def _class(node):
    kept = []
    for each in node.body:
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if _is_public(each.name):
                kept.append(_function(each))
        elif isinstance(each, ast.AnnAssign):
            each.value = None
            kept.append(each)
        elif _is_docstring(each) or isinstance(each, ast.Assign):
            kept.append(each)
    node.body = kept or [ast.Expr(ast.Constant(...))]
    return node


def _names_in_annotations(nodes):
    return {name.id for node in nodes if isinstance(node, ast.AnnAssign)
            for name in ast.walk(node.annotation) if isinstance(name, ast.Name)}


def _is_kept_assignment(node):
    if not isinstance(node.targets[0], ast.Name):
        return False
    is_type_variable = isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name) \
        and node.value.func.id in ('TypeVar', 'ParamSpec')
    return is_type_variable or (_is_public(node.targets[0].id)
                                and not isinstance(node.value, ast.Call))


def _flattened(nodes):
    for node in nodes:
        if _is_type_checking(node):
            yield from node.body
        else:
            yield node


def _statement(node, wanted):
    """What is left of a statement of a module; None: nothing."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return _function(node) if _is_public(node.name) else None
    if isinstance(node, ast.ClassDef):
        return _class(node) if _is_public(node.name) or node.name in wanted else None
    if isinstance(node, ast.ImportFrom):
        node.names = [each for each in node.names if each.name not in _LEFT_OUT]
        return None if node.module in _NOT_IMPORTED or not node.names else node
    if isinstance(node, ast.Assign):
        return node if _is_kept_assignment(node) else None
    if isinstance(node, ast.AnnAssign):
        node.value = None
        return node if _is_public(node.target.id) else None
    return node if _is_docstring(node) or isinstance(node, ast.Import) else None


def stub_of(source):
    nodes = list(_flattened(ast.parse(source).body))
    wanted = _names_in_annotations(nodes)
    kept = [_statement(node, wanted) for node in nodes]
    body = [node for node in kept if node is not None]
    if '__version__' in source:
        body.append(ast.parse('__version__: str').body[0])
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, []))) + '\n'


def stub_files(package):
    """Yields (path below the import root, text)."""
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(name for name in folders if name not in (*_LEFT_OUT, '__pycache__'))
        for name in sorted(names):
            if name.endswith('.py') and name not in _LEFT_OUT:
                path = os.path.join(folder, name)
                with open(path, encoding='utf-8') as file:
                    text = stub_of(file.read())
                yield os.path.relpath(path, os.path.dirname(package)) + 'i', text


def main():
    package, output = sys.argv[1:]
    for place, text in stub_files(package):
        target = os.path.join(output, place)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'w', encoding='utf-8') as file:
            file.write(text)


if __name__ == '__main__':
    main()
