#!/bin/sh
# The quickstart's action: notes in `actions.txt` beside it that a delivery came. A real one would start a build.
# Standard input holds the delivery as JSON, the environment its key facts.
bytes=$(wc -c)
echo "$(date -u +%H:%M:%S) the action ran: $GRAPNEL_EVENT $GRAPNEL_REPOSITORY $GRAPNEL_REF ($bytes bytes of JSON)" \
    >>"$(dirname "$0")/actions.txt"
