"""The fixture that the acceptance examples count on (docs: domain, section 1.0), as exact numbers.

It lies in the home cell, where the ground is the board. Parcel P7 is property 7 of block 1-12-45:
E 488600..488610, N 3833100..3833120. South of it runs kuche-ye Yas (8 m, to be 12 m, axis 4 m south
of the plots), and south of the street an open channel, so that only P5..P9 lose land. The park east
of the block has no dwellings: it is the east half of census block CB-1.
"""

from __future__ import annotations

import numpy as np

REGION, DISTRICT, BLOCK = 1, 12, 45

# In the axes of the home cell: p = x + 110, q = y + 112.
STRIPS = np.array([[8.0, 48.0], [56.0, 98.0], [112.0, 152.0], [160.0, 200.0]])
PARTS = np.array([[8.0, 82.0], [90.0, 190.0]])
STRIP, PART = 2, 1
BLOCK_P = (90.0, 140.0)
PARK_P = (140.0, 190.0)
SPLIT_Q = 132.0
LOWER_WIDTHS = (10.0, 10.0, 10.0, 10.0, 10.0)
UPPER_WIDTHS = (10.0, 10.0, 10.0, 20.0)

YAS_LANE = 1
YAS_AXIS = 108.0
YAS_WIDTH = 8.0
YAS_PLAN_WIDTH = 12.0
YAS_NAME = "کوچه یاس"
NEIGHBOUR_LANE_NAME = "کوچه نسترن"

P7 = 7
DEED_M2 = 200.0
REMAINDER_M2 = 180.0
AFFECTED = (5, 6, 7, 8, 9)
# The last plot of the northern row keeps 3 m by 2 m as its own way in.
PASSAGE_NUMBER, PASSAGE_M2 = 4, 6.0
PLATE = "1234/567 بخش 4"
SECOND_PLATE = "1234/568 بخش 4"
POSTCODE = "3715613947"
POSTCODE_AREA = POSTCODE[:5]

# Building B1: 9.60 m x 11.25 m = 108.00 m2, in metres on the board.
B1_BOX = (0.2, 8.55, 9.8, 19.8)
B1_FLOORS = 3
B1_YEAR = 1389

ZONE_CODE = "R2"
CENSUS_ZONE, CENSUS_BLOCK = 1, 1
CENSUS_PERSONS, CENSUS_HOUSEHOLDS = 88, 26
CENSUS_MALE, CENSUS_DWELLINGS, CENSUS_VACANT = 45, 27, 1

# Price block PB-3, rials per m2 in the year 1404.
PRICE_BLOCK, PRICE_YEAR = 3, 1404
LAND_PRICE_IRR, BUILDING_PRICE_IRR = 500_000, 300_000

PROJECT_NO = "PR-1"
PROJECT_TITLE = "تعریض کوچه یاس"
# The last day of a Jalali month that no Gregorian calendar has: 21 May 2023.
PROJECT_NOTICE, PROJECT_APPROVAL = "1402/02/31", "1401/12/29"
CONTRACTS = "1402/118، 1402/240"
PROJECT_BOX = (-20.0, -10.0, 30.0, 2.0)

# A red square on the ground of the park, 4 m wide, for checks of the orthophoto.
TARGET_BOX = (50.0, 18.0, 54.0, 22.0)

# Round the origin the terrain is the plane 900 + 0.01 (E - 488600).
PLANE_HEIGHT_M, PLANE_SLOPE, PLANE_RADIUS_M = 900.0, 0.01, 320.0
# The masts of the city hall and of the council, on that plane.
MAST_M = 10.0
