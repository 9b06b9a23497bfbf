"""What MXNet's images contain, by the name that is imported.

From the images' Dockerfiles (aws/deep-learning-containers mxnet/training and mxnet/inference 1.9;
aws/sagemaker-mxnet-training-toolkit docker/1.1.0) and what those packages require themselves. The
lists are generous: a package that one version of the image has counts for all.
"""

from __future__ import annotations

import sys

from sagedock.check.subjects.words import words

STANDARD_LIBRARY = frozenset(sys.stdlib_module_names) | words(
    """
    asynchat asyncore audioop cgi cgitb chunk crypt distutils imghdr imp lib2to3 mailcap
    msilib nis nntplib ossaudiodev pipes sndhdr spwd sunau telnetlib uu xdrlib smtpd binhex
    formatter parser symbol macpath dummy_threading _dummy_threading zoneinfo graphlib
    tomllib __main__ __future__ _typeshed
    """
)
"""Of any Python 3; a module that a version lacks is another rule's."""

PYTHON2_LIBRARY = words(
    """
    ConfigParser Queue StringIO cStringIO cPickle urllib2 urlparse httplib HTMLParser Cookie
    __builtin__ commands copy_reg itertools exceptions thread SocketServer BaseHTTPServer
    """
) - {"itertools"}

LEGACY = words(
    """
    mxnet numpy requests graphviz boto3 botocore jmespath s3transfer dateutil docutils six
    gevent greenlet gunicorn flask jinja2 werkzeug itsdangerous click markupsafe certifi
    chardet idna urllib3 pip setuptools pkg_resources wheel container_support
    mxnet_container tenacity
    """
)
"""Of the images up to 1.2.1, for training and serving: one image did both."""

_BOTH = words(
    """
    mxnet numpy requests urllib3 certifi chardet charset_normalizer idna graphviz boto3
    botocore jmespath s3transfer dateutil six pip setuptools pkg_resources wheel awscli yaml
    rsa pyasn1 docutils colorama onnx google typing_extensions gluonnlp gluoncv tqdm
    matplotlib mpl_toolkits portalocker PIL scipy pyparsing cycler kiwisolver packaging
    Cython cython retrying psutil pylab pyximport
    """
)

TRAINING = _BOTH | words(
    """
    h5py pandas pytz sklearn joblib threadpoolctl mpi4py cv2 horovod cffi cloudpickle
    smexperiments smdebug smdebug_rulesconfig sagemaker sagemaker_training
    sagemaker_mxnet_container sagemaker_containers smclarify bokeh imageio plotly seaborn
    shap numba llvmlite slicer attr attrs pathos dill multiprocess ppft pox jinja2
    markupsafe tornado protobuf3_to_dict importlib_metadata zipp jsonschema werkzeug gevent
    greenlet paramiko cryptography bcrypt nacl inotify_simple tenacity pyinstrument dgl
    networkx keras
    """
)
"""Of the training images from 1.3 on."""

SERVING = _BOTH | words(
    """
    mms sagemaker_inference sagemaker_mxnet_serving_container model_archiver enum_compat
    future past keras_mxnet pandas cv2
    """
)
"""Of the inference images from 1.4 on. pandas and cv2 are not in all of them, and in some."""

DISTRIBUTIONS = {
    "cv2": ("opencv",),
    "PIL": ("pillow",),
    "sklearn": ("scikit_learn", "scikit-learn"),
    "skimage": ("scikit_image",),
    "yaml": ("pyyaml",),
    "bs4": ("beautifulsoup4",),
    "dateutil": ("python_dateutil",),
    "Crypto": ("pycrypto", "pycryptodome"),
    "attr": ("attrs",),
    "dotenv": ("python_dotenv",),
    "google": ("protobuf", "google"),
    "git": ("gitpython",),
    "MySQLdb": ("mysqlclient",),
    "OpenSSL": ("pyopenssl",),
    "Bio": ("biopython",),
    "fitz": ("pymupdf",),
    "docx": ("python_docx",),
    "magic": ("python_magic",),
    "serial": ("pyserial",),
    "jwt": ("pyjwt",),
    "umap": ("umap_learn",),
    "community": ("python_louvain",),
    "faiss": ("faiss",),
    "tensorboardX": ("tensorboardx",),
}
"""Imported name → beginnings of the distributions that bring it."""

BROUGHT_ALONG = {
    "autogluon": words("sklearn pandas scipy networkx matplotlib joblib tqdm psutil"),
    "gluonts": words("pandas pydantic toolz tqdm"),
    "lightgbm": words("sklearn scipy joblib"),
    "mlflow": words("sklearn pandas scipy pyarrow flask sqlalchemy"),
    "nltk": words("regex joblib click tqdm"),
    "pandas": words("pytz dateutil"),
    "scikit_image": words("scipy networkx imageio PIL tifffile"),
    "scikit_learn": words("scipy joblib threadpoolctl"),
    "seaborn": words("pandas matplotlib"),
    "spacy": words("thinc srsly catalogue preshed cymem murmurhash blis typer pydantic"),
    "statsmodels": words("pandas scipy patsy"),
    "transformers": words("tokenizers huggingface_hub safetensors regex filelock yaml tqdm"),
    "xgboost": words("scipy"),
}
"""Distribution → what its own requirements bring (Requires-Dist, of today's versions or of one that
ran on Python 3.8)."""

_NEVER_LOOKED_FOR = words(
    """
    atexit errno faulthandler gc itertools marshal posix pwd sys time
    abc codecs genericpath io os posixpath site stat
    """
)
"""Modules that no file can hide: those within python itself (CPython, Modules/Setup), and those
that it has loaded before the source folder comes onto sys.path (site.py)."""

LOADED_AT_START = (
    words(
        """
    abc argparse array ast atexit base64 binascii bisect bz2 calendar codecs collections
    contextlib copy copyreg csv ctypes dataclasses datetime difflib dis distutils email
    encodings enum errno fcntl fnmatch functools gc gettext grp gzip hashlib heapq hmac http
    importlib inspect io ipaddress itertools json keyword linecache locale logging lzma math
    mimetypes multiprocessing numbers opcode operator os pathlib pickle platform pprint pwd
    queue quopri random re reprlib secrets select selectors shutil signal socket ssl stat
    string stringprep struct subprocess sysconfig tarfile tempfile textwrap threading time
    token tokenize traceback types typing unicodedata unittest urllib uuid warnings weakref
    zipfile zlib mxnet numpy requests urllib3 certifi idna chardet graphviz boto3 botocore
    """
    )
    - _NEVER_LOOKED_FOR
)
"""What `import mxnet` loads by itself: measured with MXNet 1.9.1 (sys.modules after the import),
and what the image's own code imports."""
