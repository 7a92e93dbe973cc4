# Reads /var/lib/dpkg/status; prints one line per installed package: name, section, installed size in KiB.
# Paragraphs are separated by empty lines; a line that starts with a space continues the field above it.
BEGIN { OFS = "\t" }

/^Package: /        { name = $2 }
/^Status: /         { installed = ($0 == "Status: install ok installed" || $0 == "Status: hold ok installed") }
/^Section: /        { section = $2 }
/^Installed-Size: / { size = $2 }
/^$/                { flush() }
END                 { flush() }

function flush() {
    if (name != "" && installed) {
        sub(/.*\//, "", section)        # non-free/libs counts as libs
        print name, (section == "" ? "unknown" : section), size + 0
    }
    name = ""; section = ""; size = 0; installed = 0
}
