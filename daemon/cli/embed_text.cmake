# cmake -DINPUT=file -DOUTPUT=file.cc -DHEADER=path -DNAME=kName -P embed_text.cmake
# Writes a source file that defines NAME as the text of INPUT.
file(READ "${INPUT}" text)
file(WRITE "${OUTPUT}" "#include \"${HEADER}\"

namespace cloister {

const char* const ${NAME} = R\"EMBEDDED(${text})EMBEDDED\";

}  // namespace cloister
")
