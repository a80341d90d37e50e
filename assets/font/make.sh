#!/usr/bin/env bash
# Makes DejaVuSans-latin.ttf: the Latin letters, digits and signs of DejaVu Sans 2.37 (Debian package fonts-dejavu-core),
# without hints, so that pictures in mails look the same on every machine and need no installed font. Needs fonttools
# (pip install fonttools). The licence of the font is beside it.
set -euo pipefail
cd "$(dirname "$0")"
SOURCE_DATE_EPOCH=0 pyftsubset /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf \
    --output-file=DejaVuSans-latin.ttf \
    --unicodes=U+0020-007E,U+00A0-017F,U+0391-03C9,U+0400-044F,U+2013,U+2014,U+2018-201D,U+2022,U+2026,U+2190-2193,U+2212,U+221E,U+2248,U+2264,U+2265,U+FFFD \
    --no-hinting --desubroutinize --layout-features=kern --name-IDs=0,1,2,3,4,5,6,13,14 --drop-tables+=FFTM
