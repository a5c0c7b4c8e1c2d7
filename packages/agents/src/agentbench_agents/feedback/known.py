"""Causes and next steps of the failures that programs for these tasks run into, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Advice:
    """A probable cause and what to do about it."""

    cause: str
    next_step: str


ENDINGS: Mapping[str, Advice] = MappingProxyType(
    {
        "time limit": Advice(
            "the work does not fit into the time of one run, or it waits for something",
            "measure a small part first; then use fewer rows, rounds or folds, or a faster model",
        ),
        "memory": Advice(
            "data, copies of it, or the model need more memory than the sandbox has",
            "read only the columns you need, use float32 and categories, work in chunks, "
            "or lower n_jobs and the batch size",
        ),
        "processes": Advice(
            "it starts processes or threads without end, or n_jobs is too large",
            "set n_jobs and the number of loader processes to a small number",
        ),
        "disk": Advice(
            "it writes more than the working directory may hold",
            "do not store intermediate data, or store it compressed",
        ),
        "exit": Advice(
            "the program ended itself, or what it called did",
            "read the end of what it printed and look for sys.exit and failing commands",
        ),
        "no submission": Advice(
            "no line writes submission.csv into the working directory, or it was not reached",
            "end with something like frame.to_csv('submission.csv', index=False)",
        ),
        "unreadable": Advice(
            "submission.csv is not a regular file of a reasonable size",
            "write it as a plain CSV file",
        ),
        "undefined": Advice(
            "the metric has no value for these predictions, often because all of them are equal",
            "predict values that differ",
        ),
    }
)

SIGNALS: Mapping[int, Advice] = MappingProxyType(
    {
        6: Advice("a native library aborted", "look at what it printed; try other settings of it"),
        7: Advice(
            "a memory-mapped file or /dev/shm is full",
            "use fewer loader processes or smaller batches",
        ),
        9: Advice(
            "something killed it, most often for its memory",
            "use less memory, then run it again",
        ),
        11: Advice(
            "a native library crashed",
            "find the call with smaller data; often shapes, types or threads are the reason",
        ),
    }
)

_DATA = "the data is in input/; request_info with data_structure lists its files and columns"

# Class names (| between them), a pattern of the message, advice. The first that fits is taken.
EXCEPTIONS: tuple[tuple[str, str, Advice], ...] = (
    (
        "ModuleNotFoundError|ImportError",
        r"No module named|not installed here",
        Advice(
            "the package is not in the sandbox, and there is no network to install it",
            "use a package that is there; validate_code tells which imports fail",
        ),
    ),
    (
        "ImportError",
        "cannot import name",
        Advice(
            "this version of the package has no such name",
            "print the version of the package and use the name that it has",
        ),
    ),
    (
        "SyntaxError|IndentationError|TabError",
        "",
        Advice(
            "the program is not valid Python, or was cut off",
            "mend the line, or the bracket, quote or block that is open before it",
        ),
    ),
    (
        "FileNotFoundError|NotADirectoryError|IsADirectoryError",
        "",
        Advice("the path is not what the program thinks it is", _DATA),
    ),
    (
        "PermissionError|OSError",
        "[Rr]ead-only|[Pp]ermission denied",
        Advice("it writes outside the working directory", "write into the working directory only"),
    ),
    (
        "OSError",
        "No space left",
        Advice(
            ENDINGS["disk"].cause,
            ENDINGS["disk"].next_step,
        ),
    ),
    (
        "URLError|ConnectionError|ConnectTimeout|MaxRetryError|HTTPError|gaierror|ProxyError|OSError",
        "resolution|[Cc]onnect|urlopen|[Nn]etwork|[Mm]ax retries|couldn't connect|huggingface",
        Advice(
            "it needs the network, and the sandbox has none",
            "use only the data in input/ and what is installed; no downloads",
        ),
    ),
    (
        "MemoryError|_ArrayMemoryError|ArrayMemoryError|OutOfMemoryError",
        "",
        Advice(ENDINGS["memory"].cause, ENDINGS["memory"].next_step),
    ),
    (
        "RuntimeError|AcceleratorError",
        "CUDA out of memory",
        Advice("the GPU's memory is full", "lower the batch size or use a smaller model"),
    ),
    (
        "RuntimeError|AssertionError|AcceleratorError",
        "CUDA|NVIDIA driver",
        Advice(
            "no GPU can be used here",
            "use device = 'cuda' if torch.cuda.is_available() else 'cpu'",
        ),
    ),
    (
        "KeyError|ColumnNotFoundError",
        "",
        Advice(
            "a column or key of that name is not there, perhaps only in the test data, where "
            "targets are missing",
            "print the columns of each table; " + _DATA,
        ),
    ),
    (
        "NameError|UnboundLocalError",
        "",
        Advice(
            "the name was never given a value in this program; every run starts from nothing",
            "define or import it in the same program",
        ),
    ),
    (
        "ValueError",
        "could not convert string to float|Unable to parse string|invalid literal",
        Advice(
            "text reached something that takes numbers",
            "encode or drop the columns of text first",
        ),
    ),
    (
        "ValueError",
        r"contains? NaN|Input .* contains|infinity",
        Advice(
            "there are missing or infinite values",
            "fill them, or use a model that takes them, such as histogram gradient boosting",
        ),
    ),
    (
        "ValueError",
        r"inconsistent numbers of samples|Length mismatch|shape|features|broadcast|same length",
        Advice(
            "two arrays or tables that should fit together have different shapes",
            "print their shapes just before the line; treat train and test data alike",
        ),
    ),
    (
        "ValueError",
        r"unknown label type|[Uu]nseen|previously unseen|n_splits|least populated class",
        Advice(
            "the labels are not what the method expects: too few of a class, new ones, or "
            "numbers where classes are wanted",
            "look at the counts of the labels; use another split or encoding",
        ),
    ),
    (
        "NotFittedError",
        "",
        Advice("a model or transformer is used before fit", "call fit on the training data first"),
    ),
    (
        "ConvergenceError|LinAlgError",
        "",
        Advice("the numbers are badly scaled or collinear", "scale the features or regularise"),
    ),
    (
        "IndexError",
        "",
        Advice("an index is past the end, or a result is empty", "print lengths before the line"),
    ),
    (
        "TypeError",
        "unexpected keyword argument|positional argument|missing .* required",
        Advice(
            "the function takes other arguments in the installed version",
            "leave the argument out, or look it up with help()",
        ),
    ),
    (
        "AttributeError",
        "has no attribute",
        Advice(
            "the object is of another type or version than thought",
            "print its type and the version of the package",
        ),
    ),
    (
        "UnicodeDecodeError|ParserError|EmptyDataError|ComputeError",
        "",
        Advice(
            "a file has another form than the reader expects",
            "look at its first bytes; set encoding, separator or quoting",
        ),
    ),
    (
        "BrokenProcessPool|TerminatedWorkerError|BrokenPipeError",
        "",
        Advice(
            "a worker process was killed, most often for its memory",
            "use n_jobs=1 or smaller data",
        ),
    ),
    (
        "RecursionError",
        "",
        Advice("a function calls itself without end", "use a loop or mend its end condition"),
    ),
    (
        "ZeroDivisionError",
        "",
        Advice("a count or a sum is zero", "handle the empty case before dividing"),
    ),
    (
        "AssertionError",
        "",
        Advice(
            "a check of the program itself does not hold", "print what it compares and mend that"
        ),
    ),
    ("KeyboardInterrupt", "", ENDINGS["time limit"]),
)

_ROWS = Advice(
    "the rows are not those of the test set",
    "begin with sample_submission.csv, keep its ids and their number, and fill in the targets",
)
_COLUMNS = Advice(
    "the header is not that of the sample submission",
    "write exactly the columns of sample_submission.csv, with index=False",
)
_VALUES = Advice(
    "some predictions are missing, not finite, or not of the type that is asked for",
    "check with isna() and isfinite() before writing, and fill or clip what is wrong",
)
_FORM = Advice("the file is not a plain UTF-8 table with commas", "write it with to_csv")

ISSUES: Mapping[str, Advice] = MappingProxyType(
    {
        **dict.fromkeys(("missing_id", "unknown_id", "duplicate_id", "invalid_id"), _ROWS),
        **dict.fromkeys(("missing_column", "extra_column", "duplicate_column"), _COLUMNS),
        **dict.fromkeys(
            ("missing_value", "not_numeric", "not_integer", "not_boolean", "nan", "infinite"),
            _VALUES,
        ),
        "out_of_range": Advice(
            "predictions lie outside the allowed range", "clip them to the range"
        ),
        "unknown_label": Advice(
            "a predicted class is none of those in the training data, or is coded differently",
            "map predictions back to the labels as they are written in the training data",
        ),
        "malformed": Advice(
            "a field does not have the form that the description asks for",
            "compare a field with the same field of sample_submission.csv",
        ),
        **dict.fromkeys(
            (
                "file_missing",
                "too_large",
                "not_utf8",
                "not_csv",
                "empty",
                "ragged_row",
                "field_too_long",
            ),
            _FORM,
        ),
    }
)
