#!/bin/sh
# Verify an erasure certificate without Rasura: a POSIX shell, jq 1.6 and openssl 3.
#
#   verify.sh BUNDLE TRUST      BUNDLE is the certificate's JSON file, TRUST the registry's trust.toml
#
# It says what it finds, step by step, and ends with 0 only if the certificate is signed, its keys are certified by
# the registry that TRUST names, the log holds it, and it says ERASED. README.md beside this says what it leaves out.
set -eu
bundle=$1 trust=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "NOT VERIFIED: $1" >&2; exit 1; }
bytes() { wc -c <"$1" | tr -d ' '; }
digest() { openssl dgst -sha256 -binary "$@"; }
hex() { od -An -v -tx1 | tr -d ' \n'; }

# The parts of the bundle as files: the payload's bytes, the signature, both certificates, the log's receipt.
jq -e '.mediaType == "application/vnd.rasura.bundle+json;version=1" and (.envelope.signatures | length == 1)
    and (.chain | length == 2)' "$bundle" >/dev/null || fail "it is no bundle with one signature and two certificates"
jq -j .envelope.payload "$bundle" | openssl base64 -d -A >"$work/payload"
jq -j '.envelope.signatures[0].sig' "$bundle" | openssl base64 -d -A >"$work/signature"
jq -j '.chain[0]' "$bundle" | openssl base64 -d -A | openssl x509 -inform DER -out "$work/station.pem"
jq -j '.chain[1]' "$bundle" | openssl base64 -d -A | openssl x509 -inform DER -out "$work/site.pem"
# Each [[authority]] certifies sites, each [[timestamp_authority]] whoever signs timestamps, and never the other.
pem() { sed -n "/^\\[\\[$1\\]\\]/,/-----END/p" "$trust" | sed 's/^certificate = """//' | sed '/^\[\[/d'; }
pem authority >"$work/authority.pem"
pem timestamp_authority >"$work/time.pem"

# 1. The signature. DSSE signs: DSSEv1, the type and the payload, each with its length before it.
type=application/vnd.in-toto+json
[ "$(jq -r .envelope.payloadType "$bundle")" = "$type" ] || fail "the payload type is not in-toto's"
printf 'DSSEv1 %d %s %d ' ${#type} $type "$(bytes "$work/payload")" | cat - "$work/payload" >"$work/signed"
openssl x509 -in "$work/station.pem" -noout -pubkey >"$work/station.pub"
openssl dgst -sha256 -verify "$work/station.pub" -signature "$work/signature" "$work/signed" >/dev/null ||
    fail "the signature does not fit"
echo "signature   the station's key signed this statement"

# 2. What it is about.
jq -e '._type == "https://in-toto.io/Statement/v1" and .predicateType == "urn:rasura:erasure-certificate:v1"
    and (.predicate.formatVersion | test("^1\\.[0-9]+$"))' "$work/payload" >/dev/null ||
    fail "the statement is no erasure certificate of version 1"

# 3. The chain: registry authority -> site -> station. Which moment counts comes with the log.
openssl verify -no_check_time -CAfile "$work/authority.pem" -untrusted "$work/site.pem" "$work/station.pem" \
    >/dev/null 2>&1 || fail "the station's certificate does not lead to the registry authority"
! openssl x509 -in "$work/station.pem" -noout -text | grep -q "X509v3 Extended Key Usage" ||
    fail "the signing certificate is not a station's: it is marked for another role"
subject() { openssl x509 -in "$1" -noout -subject -nameopt sep_multiline,utf8,-esc_msb | sed -n "s/^ *$2=//p"; }
[ "$(subject "$work/station.pem" O)" = "$(jq -r .predicate.station.site "$work/payload")" ] ||
    fail "the claims name another site than the station's certificate"
[ "$(subject "$work/site.pem" O)" = "$(subject "$work/station.pem" O)" ] ||
    fail "the station's certificate names another site than the one that issued it"
[ "$(subject "$work/station.pem" CN)" = "$(jq -r .predicate.station.name "$work/payload")" ] ||
    fail "the claims name another station than the station's certificate"
echo "chain       $(subject "$work/station.pem" CN) of $(subject "$work/site.pem" O)"

# 4. The leaf of the log: six lines, hashed after a zero byte (RFC 6962 section 2.1).
[ "$(jq -r '.receipt | type' "$bundle")" = string ] || fail "no log holds it yet: there is no receipt"
jq -j .receipt "$bundle" >"$work/receipt"
{
    printf 'rasura log entry v1\nerasure-certificate\n'
    printf 'id sha256:%s\n' "$(jq -j .predicate.id "$work/payload" | digest | hex)"
    printf 'payload sha256:%s\n' "$(digest "$work/payload" | hex)"
    printf 'signature sha256:%s\n' "$(digest "$work/signature" | hex)"
    printf 'signing-certificate sha256:%s\n' "$(openssl x509 -in "$work/station.pem" -outform DER | digest | hex)"
} >"$work/leaf"

# 5. The log's word: its signature over the checkpoint, which is the receipt's text after the first empty line.
sed -n 's/^key = "\([^+]*\)+[0-9a-f]*+\([^"]*\)"$/\1 \2/p' "$trust" >"$work/logs"
signed_by_log() { openssl pkeyutl -verify -pubin -inkey "$work/log.pub" -rawin -in "$1" -sigfile "$2" >/dev/null 2>&1; }
open_checkpoint() { # of the receipt in the file $1
    sed '1,/^$/d' "$1" >"$work/note"
    sed '/^$/,$d' "$work/note" >"$work/checkpoint"
    origin=$(sed -n 1p "$work/checkpoint") size=$(sed -n 2p "$work/checkpoint")
    key=$(while read -r name material; do [ "$name" != "$origin" ] || echo "$material"; done <"$work/logs")
    [ -n "$key" ] || fail "the log $origin is not one that is trusted"
    {
        printf '\060\052\060\005\006\003\053\145\160\003\041\000' # an Ed25519 SubjectPublicKeyInfo without its key
        printf %s "$key" | openssl base64 -d -A | tail -c 32
    } | openssl pkey -pubin -inform DER -out "$work/log.pub"
    noted='' moment=''
    sed -n "s/^— $(printf %s "$origin" | sed 's/[].[*^$/]/\\&/g') //p" "$work/note" >"$work/lines"
    while read -r line; do
        printf %s "$line" | openssl base64 -d -A >"$work/line"
        tail -c 64 "$work/line" >"$work/sig"
        case $(bytes "$work/line") in
        68) ! signed_by_log "$work/checkpoint" "$work/sig" || noted=yes ;;
        76) # cosignature/v1: the log also signed when
            time=$((0x$(head -c 12 "$work/line" | tail -c 8 | hex)))
            printf 'cosignature/v1\ntime %d\n' $time | cat - "$work/checkpoint" >"$work/timed"
            ! signed_by_log "$work/timed" "$work/sig" || moment=$time ;;
        esac
    done <"$work/lines"
    [ -n "$noted" ] || fail "the log $origin did not sign the checkpoint"
    [ -n "$moment" ] || fail "the log $origin does not say when it signed the checkpoint"
}
open_checkpoint "$work/receipt"

# 6. The inclusion proof (RFC 9162 section 2.1.3.2): from the leaf's hash to the checkpoint's root.
node() { { printf '\001'; cat "$1" "$2"; } | digest >"$work/next"; mv "$work/next" "$work/hash"; }
included() { # the leaf, by the receipt in the file $1, whose checkpoint is open
    printf '\000' | cat - "$work/leaf" | digest >"$work/hash"
    index=$(sed -n '2s/^index //p' "$1")
    { [ "$index" -ge 0 ] && [ "$index" -lt "$size" ]; } 2>/dev/null || fail "the log has no entry of that number"
    fn=$index sn=$((size - 1))
    sed '1,2d;/^$/,$d' "$1" >"$work/proof"
    while read -r line; do
        printf %s "$line" | openssl base64 -d -A >"$work/sibling"
        [ "$sn" -gt 0 ] || fail "the inclusion proof is too long"
        if [ $((fn & 1)) = 1 ] || [ "$fn" = "$sn" ]; then
            node "$work/sibling" "$work/hash"
            while [ $((fn & 1)) = 0 ] && [ "$fn" != 0 ]; do fn=$((fn >> 1)) sn=$((sn >> 1)); done
        else
            node "$work/hash" "$work/sibling"
        fi
        fn=$((fn >> 1)) sn=$((sn >> 1))
    done <"$work/proof"
    [ "$sn" = 0 ] || fail "the inclusion proof is too short"
    [ "$(openssl base64 -A -in "$work/hash")" = "$(sed -n 3p "$work/checkpoint")" ] ||
        fail "the inclusion proof does not lead to the checkpoint"
}
included "$work/receipt"
echo "log         entry $index of $size in $origin"

# 7. The site's certificate at the moment the log gives.
openssl verify -attime "$moment" -CAfile "$work/authority.pem" "$work/site.pem" >/dev/null 2>&1 ||
    fail "the site's certificate was not valid when the log signed"
echo "time        logged by $(jq -rn "$moment | todate")"

# 8. Timestamps, if there are and somebody is trusted for them: a third party saw one of the log's checkpoints that
# holds this entry (RFC 3161), and the log does not say that it signed it later, give or take five minutes.
log=$origin place=$index logged=$moment entries=$size root=$(sed -n 3p "$work/checkpoint") seen=''
count=$(jq '.timestamps // [] | length' "$bundle")
[ -s "$work/time.pem" ] || count=0
while [ "$count" -gt 0 ]; do
    count=$((count - 1))
    jq -j ".timestamps[$count].receipt" "$bundle" >"$work/stamped"
    jq -j ".timestamps[$count].token" "$bundle" | openssl base64 -d -A >"$work/token"
    when=$(openssl ts -reply -in "$work/token" -token_in -token_out -text 2>/dev/null | sed -n 's/^Time stamp: //p') || when=''
    when=$(jq -rn --arg when "$when" '$when | sub("\\.[0-9]+"; "") | gsub(" +"; " ")
        | strptime("%b %d %H:%M:%S %Y GMT") | mktime' 2>/dev/null) || continue
    openssl ts -verify -digest "$(sed '1,/^$/d' "$work/stamped" | digest | hex)" -in "$work/token" -token_in \
        -CAfile "$work/time.pem" -attime "$when" >/dev/null 2>&1 || continue
    open_checkpoint "$work/stamped"
    included "$work/stamped"
    [ "$origin $index" = "$log $place" ] || fail "the timestamp is of another entry or log"
    [ "$size" != "$entries" ] || [ "$(sed -n 3p "$work/checkpoint")" = "$root" ] || fail "the log signed two trees"
    [ "$size" -lt "$entries" ] || [ "$moment" -ge "$logged" ] || fail "the log's time goes back"
    [ "$moment" -le $((when + 300)) ] || fail "the log gives a wrong time: an authority had seen the checkpoint before"
    seen=$when
    echo "timestamp   seen in that log by $(jq -rn "$when | todate")"
done
[ -n "$seen" ] || [ ! -s "$work/time.pem" ] || [ "$(jq '.timestamps // [] | length' "$bundle")" = 0 ] ||
    fail "no trusted authority made its timestamp"

# 9. What it says.
jq -r '.predicate | "claims      \(.result.outcome) drive \(.drive.model), serial \(.drive.serial): \(.result.method) by \(.result.technique)"' \
    "$work/payload"
[ "$(jq -r .predicate.result.outcome "$work/payload")" = ERASED ] || fail "the drive was not erased"
