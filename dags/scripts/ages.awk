# Reads lines "mtime path" (seconds since 1970); counts them by age. Needs -v now=SECONDS.
{
    days = (now - $1) / 86400
    if (days < 7) week++
    else if (days < 31) month++
    else if (days < 366) year++
    else older++
}
END {
    printf "%6d  in the last 7 days\n", week
    printf "%6d  in the last 31 days\n", month
    printf "%6d  in the last year\n", year
    printf "%6d  before that\n", older
}
