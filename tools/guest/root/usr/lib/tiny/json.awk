# Prints the strings of a JSON document as "path.to.key<tab>value", one a line.
{ text = text $0 " " }
END { value("") }

function skip() { sub(/^[ \t\r\n]+/, "", text) }
function take(c) { skip(); if (substr(text, 1, 1) != c) return 0; text = substr(text, 2); return 1 }
function string(  s) {
  skip()
  if (!match(text, /^"([^"\\]|\\.)*"/)) exit 1
  s = substr(text, 2, RLENGTH - 2)
  text = substr(text, RLENGTH + 1)
  gsub(/\\\//, "/", s); gsub(/\\"/, "\"", s); gsub(/\\[nrt]/, " ", s)
  sub(/ +$/, "", s)
  return s
}
function value(path,  key, n) {
  skip()
  if (take("{")) {
    while (!take("}")) {
      key = string()
      if (!take(":")) exit 1
      value(path == "" ? key : path "." key)
      take(",")
    }
  } else if (take("[")) {
    for (n = 0; !take("]"); n++) { value(path "." n); take(",") }
  } else if (substr(text, 1, 1) == "\"") {
    print path "\t" string()
  } else if (match(text, /^[-+.0-9a-zA-Z]+/)) {
    text = substr(text, RLENGTH + 1)
  } else exit 1
}
