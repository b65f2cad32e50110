"""The answers of which GPT-2 was surest, of questions that people asked a search engine (Radford et al. 2019, table 5),
to be held against one's own: ``trivium evaluate --shots K --answers 30``."""

from typing import NamedTuple


class PublishedAnswer(NamedTuple):
    """``probability``: in percent, the product of the answer's tokens' under greedy decoding."""

    question: str
    answer: str
    right: bool
    probability: float


PUBLISHED_ANSWERS = tuple(
    PublishedAnswer(*each)
    for each in (
        ("Who wrote the book the origin of species?", "Charles Darwin", True, 83.4),
        ("Who is the founder of the ubuntu project?", "Mark Shuttleworth", True, 82.0),
        ("Who is the quarterback for the green bay packers?", "Aaron Rodgers", True, 81.1),
        ("Panda is a national animal of which country?", "China", True, 76.8),
        ("Who came up with the theory of relativity?", "Albert Einstein", True, 76.4),
        ("When was the first star wars film released?", "1977", True, 71.4),
        ("What is the most common blood type in sweden?", "A", False, 70.6),
        ("Who is regarded as the founder of psychoanalysis?", "Sigmund Freud", True, 69.3),
        ("Who took the first steps on the moon in 1969?", "Neil Armstrong", True, 66.8),
        ("Who is the largest supermarket chain in the uk?", "Tesco", True, 65.3),
        ("What is the meaning of shalom in english?", "peace", True, 64.0),
        ("Who was the author of the art of war?", "Sun Tzu", True, 59.6),
        ("Largest state in the us by land mass?", "California", False, 59.2),
        ("Green algae is an example of which type of reproduction?", "parthenogenesis", False, 56.5),
        ("Vikram samvat calender is official in which country?", "India", True, 55.6),
        ("Who is mostly responsible for writing the declaration of independence?", "Thomas Jefferson", True, 53.3),
        ("What us state forms the western boundary of montana?", "Montana", False, 52.3),
        ("Who plays ser davos in game of thrones?", "Peter Dinklage", False, 52.1),
        ("Who appoints the chair of the federal reserve system?", "Janet Yellen", False, 51.5),
        ("State the process that divides one nucleus into two genetically identical nuclei?", "mitosis", True, 50.7),
        ("Who won the most mvp awards in the nba?", "Michael Jordan", False, 50.2),
        ("What river is associated with the city of rome?", "the Tiber", True, 48.6),
        ("Who is the first president to be impeached?", "Andrew Johnson", True, 48.3),
        ("Who is the head of the department of homeland security 2017?", "John Kelly", True, 47.0),
        ("What is the name given to the common currency to the european union?", "Euro", True, 46.8),
        ("What was the emperor name in star wars?", "Palpatine", True, 46.5),
        ("Do you have to have a gun permit to shoot at a range?", "No", True, 46.4),
        ("Who proposed evolution in 1859 as the basis of biological development?", "Charles Darwin", True, 45.7),
        ("Nuclear power plant that blew up in russia?", "Chernobyl", True, 45.7),
        ("Who played john connor in the original terminator?", "Arnold Schwarzenegger", False, 45.2),
    )
)
"""The surest first."""
