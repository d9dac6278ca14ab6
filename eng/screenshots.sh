#!/usr/bin/env bash
# Takes the documentation's pictures of pages anew: eng/screenshots.sh [FOLDER] (docs/images). Needs chromium, and the guests with
# media/debian-grub.iso (eng/fetch-guests.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath "${1:-docs/images}")
RINGFENCE_REQUIRE_BROWSER=1 RINGFENCE_REQUIRE_GUESTS=1 RINGFENCE_SCREENSHOTS=$folder \
  dotnet test -c Release tests/Ringfence.Tests --filter "FullyQualifiedName~Tests.Pages.ScreenshotTests|FullyQualifiedName~WebPageScreenshots" --logger "console;verbosity=normal"
ls -l "$folder"/*.png
