"""The report: what a run found, for the office that sent the file, and how its rows come back.

``page`` makes one self-contained HTML page; ``export`` hands out what was set aside as GeoPackage
or workbook; ``resubmit`` takes it back, corrected, through the same stages as any delivery.
"""
