#compdef rolecall
# zsh completion for rolecall
_rolecall() {
    local -a found
    local line
    while IFS= read -r line; do
        found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
    if (( $#found )); then
        _describe rolecall found
    else
        _files
    fi
}
compdef _rolecall rolecall
