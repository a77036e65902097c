# Doxygen's input filter: our plain // comments become its ///.
#
# A block of // lines right above a declaration is about it; one with a blank
# line below is about nothing and stays plain, and so does what stands inside a
# function. The block at the top of a header becomes the page of that header,
# each word at its margin (Layer, Units, Errors, ...) a paragraph with a title.

function escaped(text,   parts, count, i, made) {
  count = split(text, parts, "`")
  if (count % 2 == 0 || open_code) return plain_marks(text)  # over line ends
  for (i = 1; i <= count; ++i) {
    if (i % 2 == 1) parts[i] = plain_marks(parts[i])
    made = made (i > 1 ? "`" : "") parts[i]
  }
  return made
}

function plain_marks(text) {
  gsub(/\\/, "\\\\", text)
  gsub(/&/, "\\&amp;", text)
  gsub(/</, "\\&lt;", text)
  gsub(/>/, "\\&gt;", text)
  gsub(/@/, "\\\\@", text)
  gsub(/#/, "\\\\#", text)
  gsub(/::/, "\\\\::", text)
  gsub(/`/, "\\&#96;", text)
  gsub(/\*/, "\\\\*", text)
  gsub(/~/, "\\&#126;", text)
  return text
}

# "  // text" -> its text, without the marks and one blank.
function text_of(line) {
  sub(/^ *\/\/ ?/, "", line)
  return line
}

function indent_of(line) {
  match(line, /^ */)
  return RLENGTH
}

function flush_block(documents,   i, lead) {
  for (i = 1; i <= held; ++i) {
    lead = substr(block[i], 1, indent_of(block[i]))
    if (documents)
      print lead "/// " escaped(text_of(block[i]))
    else
      print block[i]
  }
  held = 0
}

function top_line(text,   word, rest) {
  if (NR == 2) {
    sub(/^[^:]*: */, "", text)
    return "/// @file\n/// @brief " escaped(text)
  }
  if (text == "") return "///"
  if (match(text, /^[A-Z][a-z]+ /)) {
    word = substr(text, 1, RLENGTH - 1)
    rest = substr(text, RLENGTH + 1)
    sub(/^ +/, "", rest)
    rest = escaped(rest)
    if (match(rest, /^[0-9]+\./))
      rest = substr(rest, 1, RLENGTH - 1) "\\." substr(rest, RLENGTH + 1)  # "6. ..." would begin a list
    return "///\n/// @par " word "\n/// " rest
  }
  sub(/^ +/, "", text)
  return "/// " escaped(text)
}

BEGIN { top = 0; held = 0; type = 0 }

NR == 1 && /^#pragma once/ { top = 1; print; next }

top && /^\/\// { print top_line(text_of($0)); next }
top { top = 0 }

/^ *\/\/ ?----/ { flush_block(0); print; next }

# A comment line where a declaration may follow.
/^ *\/\// {
  if (indent_of($0) == 0 || (type && indent_of($0) == 2)) {
    block[++held] = $0
    next
  }
  print
  next
}

{
  # Above an include, a macro or a label no declaration follows.
  if (held > 0)
    flush_block($0 !~ /^ *$/ && $0 !~ /^ *#/ && $0 !~ /^ *[a-z]+:$/ &&
                $0 !~ /^ *\}/ && $0 !~ /^namespace /)
  if ($0 ~ /^(template <.*> *)?(struct|class|union|enum)( |$)/ && $0 !~ /;/)
    type = 1
  if ($0 ~ /^\};/) type = 0
  # What a member is for, behind it.
  if (type && indent_of($0) == 2 && match($0, /[;,{}a-z0-9_] +\/\/ /) &&
      $0 !~ /^ *(\[\[|return|if|for)/) {
    at = index($0, "// ")
    print substr($0, 1, at - 1) "///< " escaped(substr($0, at + 3))
    next
  }
  print
}

END { flush_block(0) }
