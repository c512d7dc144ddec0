# Python 2.7. Starts the suite's wstest from where it was installed: wstest.py FOLDER ARGUMENTS...
import functools
import site
import sys

folder = sys.argv.pop(1)
# `pip --target` leaves the zope namespace to a .pth file, which only counts in a site folder.
site.addsitedir(folder)
sys.path.insert(0, folder)

from autobahntestsuite import fuzzing, wstest  # noqa: E402

# The fuzzing server would listen on every address of the machine.
fuzzing.listenWS = functools.partial(fuzzing.listenWS, interface="127.0.0.1")
sys.argv[0] = "wstest"
wstest.run()
