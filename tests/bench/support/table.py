"""Tables for people and the closing line for scripts."""


def print_table(title, heads, rows):
    rows = [heads] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    print(f"\n{title}")
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:], widths[1:])
        ]
        print("  " + "  ".join(cells))
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


def print_result(name, values):
    """The last line: plain numbers, nan for what was not measured."""
    words = [
        f"{key}={value:.4g}" if abs(value) < 1000 else f"{key}={value:.0f}"
        for key, value in values.items()
    ]
    print(f"\nRESULT {name} " + " ".join(words), flush=True)
