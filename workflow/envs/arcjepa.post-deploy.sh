#!/usr/bin/env bash
set -euo pipefail
pip install --no-deps -r requirements.lock
