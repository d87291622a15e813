"""What is wrong with a folder of images and masks: one call, every file, and a cure for each finding.

    print(audit("images", "masks"))

Nothing in the folders is changed. From a shell: `segfeed audit images masks --csv findings.csv`.
"""

from segfeed.audit.faults import FATAL_FINDINGS, FAULTS, ClassShare, Finding, Report, write_csv
from segfeed.audit.folder import audit

__all__ = ["FATAL_FINDINGS", "FAULTS", "ClassShare", "Finding", "Report", "audit", "write_csv"]
